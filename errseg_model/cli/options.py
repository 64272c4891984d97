"""Options that several subcommands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from errseg_model.backends.names import BACKENDS, PRECISIONS
from errseg_model.config import RESIZES, check_input_size, list_models
from errseg_model.datasets import Dataset, create_dataset, list_datasets, open_folders
from errseg_model.errors import InputError
from errseg_model.model_choice import ModelChoice
from errseg_model.vocabulary import Vocabulary, VocabularyError

MAX_SIDE = 16_384
"""Pixels of an image's height or width; a slip of the finger is not to fill the memory."""


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """--model, --checkpoint and --input-size."""
    models = ", ".join(list_models())
    parser.add_argument("--model", default="errseg-lite", help=f"one of {models} (default: errseg-lite)")
    parser.add_argument("--checkpoint", type=Path, metavar="F", help="published ERR-Seg file or .safetensors")
    parser.add_argument(
        "--input-size", type=input_size, metavar="HxW", help="multiples of 32, such as 384x512 (default: the model's)"
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Those of `add_network_options`, --max-classes, --resize, --min-share, --device, --backend and --precision."""
    add_network_options(parser)
    parser.add_argument("--max-classes", type=int, metavar="K", help="classes kept by the channel reduction")
    parser.add_argument("--resize", choices=RESIZES, help="letterbox keeps the aspect ratio (default: the model's)")
    parser.add_argument(
        "--min-share",
        type=float,
        metavar="S",
        help="drop classes with less than this share of an image's votes, 0..1 (default: the model's, 0)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--backend", default="pytorch", metavar="B", help=f"one of {', '.join(BACKENDS)}")
    parser.add_argument("--precision", default="float32", metavar="P", help=f"one of {', '.join(PRECISIONS)}")


def add_dataset_options(parser: argparse.ArgumentParser, split: str) -> None:
    """--dataset, --root and --split (with its help), or --images, --labels and --classes."""
    names = list_datasets()
    known = parser.add_argument_group("a published data set")
    known.add_argument("--dataset", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    known.add_argument("--root", type=Path, metavar="DIR", help="the data set's folder")
    known.add_argument("--split", metavar="S", help=split)
    own = parser.add_argument_group("or pictures of your own, laid out as `errseg train` reads them")
    own.add_argument("--images", type=Path, metavar="DIR", help="pictures, folders below it too")
    own.add_argument("--labels", type=Path, metavar="DIR", help="a PNG of the same name for each: one id a pixel")
    own.add_argument("--classes", type=Path, metavar="FILE", help="YAML of id: name")


def open_dataset(arguments: argparse.Namespace, split: str | None = None) -> Dataset:
    """What the options of `add_dataset_options` ask for; of a published data set `split` by default.

    Raises InputError: options of both kinds or too few of one, or DatasetError, which is one.
    """
    known = {"--dataset": arguments.dataset, "--root": arguments.root}
    own = {"--images": arguments.images, "--labels": arguments.labels, "--classes": arguments.classes}
    if all(own.values()) and not any((*known.values(), arguments.split)):
        return open_folders(*own.values())
    if all(known.values()) and not any(own.values()):
        return create_dataset(arguments.dataset, arguments.root, arguments.split or split)
    raise InputError(f"expected {' and '.join(known)} (and --split) of a published data set, or {', '.join(own)}")


def model_choice(arguments: argparse.Namespace) -> ModelChoice:
    """What the options of `add_model_options` ask for."""
    return ModelChoice.of(arguments)


def vocabulary(text: str) -> Vocabulary:
    """argparse type of V: a file, or entries separated by `;`."""
    try:
        return Vocabulary.from_argument(text)
    except VocabularyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def image_size(text: str) -> tuple[int, int]:
    """argparse type of HxW, an image's (height, width)."""
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise argparse.ArgumentTypeError(
            f"expected HEIGHTxWIDTH such as 384x512, up to {MAX_SIDE}x{MAX_SIDE}, got {text!r}"
        )
    return size


def count(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def input_size(text: str) -> tuple[int, int]:
    """argparse type of HxW, what the network computes: multiples of 32."""
    try:
        return check_input_size(image_size(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

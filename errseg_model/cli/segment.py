"""`errseg segment`: pictures in, masks out."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from errseg_model.cli.options import add_model_options, model_choice, vocabulary
from errseg_model.errors import InputError
from errseg_model.files import check_place, read_image, shown, whole, write_image, write_json

if TYPE_CHECKING:
    from errseg_model.result import SegmentationResult
    from errseg_model.segmenter import EncodedVocabulary, Segmenter

SUMMARY = "result.json"


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("segment", help="segment pictures", description=__doc__)
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--vocabulary", type=vocabulary, required=True, metavar="V", help="file, or entries separated by ';'"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--save-arrays", type=Path, metavar="F.npz", help="arrays of the first image")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Segment every image. Raises InputError before anything is computed where it can."""
    names = [path.stem for path in arguments.images]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"several images are called {', '.join(sorted(repeated))}: their results would collide")
    written = [arguments.out / name for path in arguments.images for name in _files(path).values()]
    if lost := [path for path in arguments.images if any(_is_same(path, place) for place in written)]:
        raise InputError(f"image {shown(lost[0])} would be overwritten by a result: choose another --out")
    for place in filter(None, (arguments.out / SUMMARY, arguments.save_arrays)):
        check_place(place)
    for path in arguments.images:
        read_image(path)  # again below: many pictures at a time would fill the memory
    segmenter = model_choice(arguments).load()
    encoded = segmenter.encode(arguments.vocabulary)
    entries = []
    for number, path in enumerate(tqdm(arguments.images, unit="image")):
        image = read_image(path)
        started = time.perf_counter()
        result = segmenter.segment([image], encoded)[0]
        latency = (time.perf_counter() - started) * 1000
        entries.append(_write(path, image, result, arguments.out) | {"latency_ms": round(latency, 1)})
        if number == 0 and arguments.save_arrays is not None:
            _save_arrays(arguments.save_arrays, encoded, result)
    write_json(arguments.out / SUMMARY, _summary(segmenter, encoded, entries))
    print(f"{len(entries)} of {len(entries)} images segmented; see {arguments.out}")


def _files(path: Path) -> dict[str, str]:
    """Names of the pictures that are written for an image."""
    return {kind: f"{path.stem}_{kind}.png" for kind in ("mask", "confidence", "overlay")}


def _is_same(path: Path, other: Path) -> bool:
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)


def _write(path: Path, image: Any, result: SegmentationResult, out: Path) -> dict[str, Any]:
    from errseg_model.visualization import overlay

    files = _files(path)
    narrow = len(result.vocabulary) < 256
    write_image(out / files["mask"], result.mask.astype(np.uint8) if narrow else result.mask)
    write_image(out / files["confidence"], np.rint(result.confidence * 255).astype(np.uint8))
    write_image(out / files["overlay"], overlay(image, result.mask, result.vocabulary))
    count = len(result.vocabulary)
    pixels = np.bincount(result.mask.ravel(), minlength=count)[:count]  # without those that are unlabelled
    return {
        "image": str(path),
        **files,
        "height": image.shape[0],
        "width": image.shape[1],
        "scores": result.scores,
        "shares": dict(zip(result.vocabulary.names, (pixels / result.mask.size).tolist(), strict=True)),
        "selected": [result.vocabulary.names[index] for index in result.selected],
    }


def _save_arrays(path: Path, encoded: EncodedVocabulary, result: SegmentationResult) -> None:
    with whole(path) as partial, open(partial, "wb") as file:
        np.savez(
            file,
            text_embeddings=encoded.embeddings.cpu().numpy(),
            selected=result.selected,
            logits=result.logits,
            mask=result.mask,
        )


def _summary(segmenter: Segmenter, encoded: EncodedVocabulary, images: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": segmenter.config.name,
        "device": str(segmenter.device),
        "input_size": list(segmenter.config.input_size),
        "max_classes": segmenter.config.max_classes,
        "vocabulary": encoded.vocabulary.to_strings(),
        "images": images,
    }

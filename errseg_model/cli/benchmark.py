"""`errseg benchmark`: what an image costs, stage by stage, beside what the machine can do.

With --num-classes the words are random vectors, so that no text is needed, and with --random-weights no file of weights
either. With --vocabulary they are yours, and classes are dropped as the model drops them.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

from errseg_model.cli.figures import add_json_option, check_json, show_figures
from errseg_model.cli.options import add_model_options, image_size, model_choice, vocabulary
from errseg_model.errors import InputError

MAX_CLASSES = 100_000


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("benchmark", help="measure the time of an image", description=__doc__)
    add_model_options(parser)
    parser.add_argument("--random-weights", action="store_true", help="in place of a checkpoint")
    words = parser.add_mutually_exclusive_group(required=True)
    words.add_argument("--num-classes", type=_count(MAX_CLASSES), metavar="T", help="random words")
    words.add_argument("--vocabulary", type=vocabulary, metavar="V", help="a file, or entries separated by `;`")
    parser.add_argument("--image-size", type=image_size, default=(720, 1280), metavar="HxW", help="default: 720x1280")
    parser.add_argument("--threads", type=_count(1024), metavar="N", help="of the CPU (default: PyTorch's own number)")
    parser.add_argument("--runs", type=_count(10_000), default=10, metavar="N", help="images that count (default: 10)")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print. Raises InputError."""
    if arguments.random_weights and arguments.checkpoint is not None:
        raise InputError("--checkpoint and --random-weights exclude each other: leave one out")
    check_json(arguments.json)
    # PyTorch takes seconds to import: not for those who only ask for help.
    from errseg_model.benchmark import Options, run_benchmark

    report = run_benchmark(
        Options(
            choice=model_choice(arguments),
            random_weights=arguments.random_weights,
            words=arguments.vocabulary or arguments.num_classes,
            image_size=arguments.image_size,
            threads=arguments.threads,
            runs=arguments.runs,
        )
    )
    show_figures(report.to_text(), report.to_json(), arguments.json)


def _count(most: int) -> Any:
    def count(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected an integer from 1 to {most}, got {text!r}")
        return int(text)

    return count

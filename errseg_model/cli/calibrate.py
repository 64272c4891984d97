"""`errseg calibrate`: weights whose confidence is the share of pixels that are right.

The confidences of a labelled split that was not trained on are fitted by Platt scaling, and the result is folded into
the last layer of the network, so that nothing has to be computed beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from errseg_model.cli.options import add_dataset_options, add_model_options, open_dataset
from errseg_model.errors import InputError
from errseg_model.files import check_place


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("calibrate", help="fit confidence to a labelled data set", description=__doc__)
    add_dataset_options(parser, split="one that was not trained on (default: val)")
    parser.add_argument("--out", type=Path, required=True, metavar="F", help="the calibrated weights (.safetensors)")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure, fit, write and print. Raises InputError."""
    # PyTorch takes seconds to import: not for those who only ask for help.
    from errseg_model.checkpoint import save_checkpoint
    from errseg_model.cli.options import model_choice
    from errseg_model.evaluation.accuracy import measure_confidence
    from errseg_model.evaluation.calibration import fit_calibration, fold
    from errseg_model.factory import create_model

    if arguments.out.suffix != ".safetensors":
        raise InputError(f"--out must be a .safetensors file, got {arguments.out}")
    check_place(arguments.out)
    dataset = open_dataset(arguments, split="val")
    pictures = f"{dataset.specification.title} ({dataset.split})"
    choice = model_choice(arguments)
    before = measure_confidence(choice.load(), dataset)
    try:
        calibration = fit_calibration(before.logits, before.right)
    except ValueError as error:
        raise InputError(f"{pictures}: {error}") from None
    model = create_model(choice.model, choice.checkpoint)
    save_checkpoint(arguments.out, fold(model.named_tensors(), calibration), choice.model)
    after = measure_confidence(dataclasses.replace(choice, checkpoint=arguments.out).load(), dataset)
    print(
        f"temperature {calibration.temperature:.3f}, bias {calibration.bias:+.3f}; expected calibration error on "
        f"{pictures} {before.reliability.expected_error():.3f}, now {after.reliability.expected_error():.3f}; "
        f"weights: {arguments.out}"
    )

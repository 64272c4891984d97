"""`errseg train`: train a model by a recipe, or go on with a training that was interrupted.

On several GPUs or machines the same command is started by accelerate:
accelerate launch -m errseg_model train --config FILE. The folder must then be one that all machines see.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from errseg_model.errors import InputError


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on labelled pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the recipe (config/training)")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="state, log and weights (default: runs/NAME of the recipe)"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes that read pictures ahead (default: 0)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train and print where the weights are. Raises InputError before anything is computed where it can."""
    if arguments.workers < 0:
        raise InputError(f"--workers must be 0 or more, got {arguments.workers}")
    # PyTorch takes seconds to import: not for those who only ask for help.
    from errseg_model.training.recipe import TrainingRecipe
    from errseg_model.training.trainer import Trainer

    folder = arguments.folder or Path("runs") / arguments.config.stem
    trainer = Trainer(TrainingRecipe.read(arguments.config), folder, arguments.workers)
    print(f"weights: {trainer.run()}")

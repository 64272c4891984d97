"""`python -m errseg_model.training --config FILE [--folder DIR]`: train, or go on with a training."""

from __future__ import annotations

import argparse
from pathlib import Path

from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m errseg_model.training", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the recipe (YAML)")
    parser.add_argument("--folder", type=Path, help="state, log and weights; default runs/NAME of the recipe")
    arguments = parser.parse_args()
    folder = arguments.folder or Path("runs") / arguments.config.stem
    print(Trainer(TrainingRecipe.read(arguments.config), folder).run())


if __name__ == "__main__":
    main()

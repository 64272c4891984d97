"""What the tests of training share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from accelerate.state import AcceleratorState

from errseg_model.training.recipe import DatasetSource, SampleDriveSource, TrainingRecipe

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_accelerator() -> Iterator[None]:
    """accelerate keeps precision and processes for as long as a process runs."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def recipe(tiny_camvid: Path) -> TrainingRecipe:
    """The project's recipe on tiny pictures, for a few small steps."""
    return dataclasses.replace(
        TrainingRecipe.read(ROOT / "config/training/errseg-lite.yaml"),
        data=DatasetSource("camvid", str(tiny_camvid), ("train",)),
        words=str(ROOT / "config/training/driving_words.yaml"),
        sample_drive=SampleDriveSource(2, 0.12),
        steps=6,
        warmup_steps=1,
        batch_size=2,
        crop=(64, 64),
        ema_decay=0.5,
    )


def write_recipe(path: Path, recipe: TrainingRecipe) -> Path:
    """The recipe as a user has it: a YAML file."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, tuple) else value

    path.write_text(yaml.safe_dump(plain(dataclasses.asdict(recipe)), sort_keys=False))
    return path

"""What the tests of training share."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator
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


@pytest.fixture
def write_recipe() -> Callable[[Path, TrainingRecipe], Path]:
    """Writes a recipe as a user has it, a YAML file, and returns its path."""
    return _write_recipe


def _write_recipe(path: Path, recipe: TrainingRecipe) -> Path:

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, tuple) else value

    path.write_text(yaml.safe_dump(plain(dataclasses.asdict(recipe)), sort_keys=False))
    return path


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A training as data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from errseg_model.config import check_input_size
from errseg_model.errors import InputError


@dataclass(frozen=True)
class TrainingRecipe:
    """One training run; config/training/errseg-lite.yaml explains each field."""

    model: str
    camvid_root: str
    splits: tuple[str, ...]
    sample_drive_frames: int
    sample_drive_share: float
    words: str
    steps: int
    decay_steps: int
    warmup_steps: int
    batch_size: int
    crop: tuple[int, int]
    scale: tuple[float, float]
    learning_rate: float
    image_tower_rate: float
    weight_decay: float
    max_classes: int
    distractors: int
    ema_decay: float
    seed: int
    class_weight: tuple[float, float]
    related_weight: float
    jaccard_weight: float
    cost_weight: float
    prototype_weight: float

    def __post_init__(self) -> None:
        check_input_size(self.crop)
        if "test" in self.splits:
            raise InputError("the split 'test' is for measuring only: take it out of the recipe's splits")

    @classmethod
    def read(cls, path: str | Path) -> TrainingRecipe:
        """Read a YAML file. Raises InputError naming missing and unknown fields."""
        values: dict[str, Any] = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        names = {field.name for field in dataclasses.fields(cls)}
        if names != values.keys():
            wrong = sorted(names ^ values.keys())
            raise InputError(f"{path}: missing or unknown fields: {', '.join(wrong)}")
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

    def learning_rate_factor(self, step: int) -> float:
        """Linear warm-up, constant, linear decay to zero at the end."""
        return max(0.0, min(1.0, (step + 1) / self.warmup_steps, (self.steps - step) / self.decay_steps))

"""A training as data."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from errseg_model.config import check_input_size
from errseg_model.errors import InputError
from errseg_model.yaml_files import read_yaml


@dataclass(frozen=True)
class DatasetSource:
    """Splits of a data set that `errseg_model.datasets` knows."""

    dataset: str
    root: str
    splits: tuple[str, ...]


@dataclass(frozen=True)
class FolderSource:
    """Pictures of your own: see `errseg_model.datasets.folders`."""

    images: str
    labels: str
    classes: str


@dataclass(frozen=True)
class SampleDriveSource:
    """Frames of the embedded sample drive beside the data; their classes are CamVid's."""

    frames: int
    share: float
    """Of the crops."""


_NOT_NEGATIVE = (
    *("warmup_steps", "distractors", "compounds", "seed", "word_noise", "weight_decay", "aspect_jitter"),
    *("related_weight", "jaccard_weight", "cost_weight", "prototype_weight", "teacher_weight"),
)

MAX_SHORTER_SIDE, MAX_SCALE, MAX_ASPECT_JITTER = 800, 8, 2
"""With all three, pictures of 16:9 stay below the 32767 pixels a side that OpenCV takes."""

MAX_DROP_PATH = 0.3
"""The last of ESCF's four layers leaves out a residual three times as often."""

MAX_NUMBER = 2**63 - 1
"""Of PyTorch's seeds and sizes, which have 64 bits."""


@dataclass(frozen=True)
class TrainingRecipe:
    """One training run; config/training/errseg-lite.yaml explains each field."""

    model: str
    pretrained: str | None
    start_from: str | None
    data: DatasetSource | FolderSource
    held_out: tuple[str, ...]
    sample_drive: SampleDriveSource | None
    words: str | None
    steps: int
    warmup_steps: int
    batch_size: int
    crop: tuple[int, int]
    shorter_side: int | None
    scale: tuple[float, float]
    aspect_jitter: float
    rare_share: float
    learning_rate: float
    rates: Mapping[str, float]
    weight_decay: float
    gradient_norm: float | None
    mixed_precision: Literal["no", "fp16", "bf16"]
    ema_decay: float | None
    save_every: int
    seed: int
    min_classes: int
    max_classes: int
    candidates: int
    distractors: int
    compounds: int
    word_noise: float
    guidance_gradient: bool
    drop_path: float
    entropy_weight: float
    class_weight: tuple[float, float] | None
    related_weight: float
    jaccard_weight: float
    cost_weight: float
    prototype_weight: float
    teacher_weight: float
    teacher_threshold: float

    def __post_init__(self) -> None:
        """Raises InputError: a value out of its range."""
        try:
            check_input_size(self.crop)
        except InputError as error:
            raise InputError(f"recipe: crop: {error}") from None
        if isinstance(self.data, DatasetSource) and "test" in self.data.splits:
            raise InputError("the split 'test' is for measuring only: take it out of the recipe's splits")
        for name in ("steps", "batch_size", "save_every", "min_classes"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        least = f"at least min_classes ({self.min_classes})"
        self._check("max_classes", self.max_classes >= self.min_classes, least)
        self._check("candidates", self.candidates >= self.max_classes, f"at least max_classes ({self.max_classes})")
        for name in _NOT_NEGATIVE:
            self._check(name, getattr(self, name) >= 0, "0 or more")
        self._check("rates", all(rate >= 0 for rate in self.rates.values()), "numbers of 0 or more")
        self._check("compounds", self.compounds == 0 or self.distractors > 0, "0 without distractors")
        for name in ("learning_rate", "entropy_weight"):
            self._check(name, getattr(self, name) > 0, "above 0")
        low, high = self.scale
        self._check("scale", 0 < low <= high <= MAX_SCALE, f"a lower and an upper bound above 0, up to {MAX_SCALE}")
        self._check("drop_path", 0 <= self.drop_path <= MAX_DROP_PATH, f"0 to {MAX_DROP_PATH}")
        side = self.shorter_side
        self._check("shorter_side", side is None or 1 <= side <= MAX_SHORTER_SIDE, f"null or 1 to {MAX_SHORTER_SIDE}")
        self._check("aspect_jitter", self.aspect_jitter <= MAX_ASPECT_JITTER, f"0 to {MAX_ASPECT_JITTER}")
        for name in ("rare_share", "teacher_threshold"):
            self._check(name, 0 <= getattr(self, name) <= 1, "in 0..1")
        bounds, drive = self.class_weight, self.sample_drive
        self._check("class_weight", bounds is None or 0 < bounds[0] <= bounds[1], "null, or two bounds above 0")
        drawn = drive is None or (drive.frames >= 1 and 0 <= drive.share <= 1)
        self._check("sample_drive", drawn, "null, or at least 1 of frames and a share in 0..1")
        self._check("ema_decay", self.ema_decay is None or 0 < self.ema_decay < 1, "null or between 0 and 1")
        self._check("gradient_norm", self.gradient_norm is None or self.gradient_norm > 0, "null or above 0")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"recipe: {name} must be {expected}, got {getattr(self, name)}")

    @classmethod
    def read(cls, path: str | Path) -> TrainingRecipe:
        """Read a YAML file. Raises InputError: not readable, or fields that are missing, unknown or of a wrong kind."""
        content = read_yaml(path, "recipe")
        try:
            recipe: TrainingRecipe = _parse(content, cls, "the recipe")
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return recipe

    def learning_rate_factor(self, step: int) -> float:
        """Linear warm-up, then half a cosine that is zero at the end."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _parse(value: Any, kind: Any, where: str) -> Any:
    """A value of YAML as a value of type `kind`. Raises InputError that says `where` it is wrong."""
    if type(value) in (int, float) and not abs(value) <= MAX_NUMBER:  # nor is nan
        raise InputError(f"{where} must be finite and below 2^63, got {value}")
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return _parse_union(value, options, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _parse_fields(value, kind, where)
    if origin is Literal and value in options:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = options[:1] * len(value) if options[1:] == (...,) else options
        if len(kinds) == len(value):
            return tuple(_parse(one, kind, where) for one, kind in zip(value, kinds, strict=True))
    if origin is Mapping and isinstance(value, dict):
        return {_parse(k, options[0], where): _parse(v, options[1], f"{where}: {k}") for k, v in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str, bool, type(None)) and type(value) is kind:
        return value
    raise InputError(f"{where} must be {_expected(kind)}, got {value!r}")


def _parse_union(value: Any, options: tuple[Any, ...], where: str) -> Any:
    """The option whose fields fit best speaks in the message: `data` has two forms."""
    if value is None and type(None) in options:
        return None
    forms = [option for option in options if option is not type(None)]
    keys = value.keys() if isinstance(value, dict) else ()
    best = max(forms, key=lambda form: sum(key in getattr(form, "__dataclass_fields__", ()) for key in keys))
    return _parse(value, best, where)


def _parse_fields(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where} must have the fields {', '.join(kind.__dataclass_fields__)}, got {value!r}")
    kinds = typing.get_type_hints(kind)
    if wrong := sorted(map(str, kinds.keys() ^ value.keys())):
        raise InputError(f"missing or unknown fields in {where}: {', '.join(wrong)}")
    return kind(**{name: _parse(value[name], kind, name) for name, kind in kinds.items()})


def _expected(kind: Any) -> str:
    """A type in the words of a message."""
    options = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(options)}"
    if typing.get_origin(kind) is tuple:
        count = "" if options[1:] == (...,) else f" of {len(options)}"
        return f"a list{count}, each {_expected(options[0])}"
    if typing.get_origin(kind) is Mapping:
        return f"a mapping of {_expected(options[0])} to {_expected(options[1])}"
    names = {int: "a whole number", float: "a number (2.0e-4, not 2e-4)", str: "text", bool: "true or false"}
    return names.get(kind, "null")

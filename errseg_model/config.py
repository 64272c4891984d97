"""What makes one ERR-Seg differ from another, as data: a frozen dataclass and one JSON file per model."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from errseg_model.errors import InputError

STRIDES = (4, 8, 16, 32)
"""Strides of the image tower's four stages (paper, section 3.2)."""

RESIZES = ("stretch", "letterbox")

INPUT_MULTIPLE = 32
"""Every input side is a multiple of the coarsest stride."""


@dataclass(frozen=True)
class ModelConfig:
    """One model of the ERR-Seg family.

    Widths are channel counts; sizes are (height, width) in pixels; `mean` and `std` are for RGB 0..255.
    """

    name: str
    image_tower: Literal["convnext", "efficientnet_lite"]
    image_tower_name: str
    """Name in open_clip (convnext) or timm (efficientnet_lite)."""
    text_tower: Literal["clip", "minilm"]
    prompt: str
    synonyms: Literal["first", "mean"]
    """What a list of synonyms is encoded as: its first phrase (published) or the mean of all phrases."""
    input_size: tuple[int, int]
    resize: Literal["stretch", "letterbox"]
    """Whether an image is stretched to the input size (published), or fitted into it with its aspect ratio kept."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    antialias: bool
    """Whether shrinking an image to the input size filters it first (published: no)."""
    embedding_size: int
    """C, the size of the space that pixels and words share."""
    stage_widths: tuple[int, int, int, int]
    """Channels of the image tower at strides 4, 8, 16, 32."""
    max_classes: int
    """K of the channel reduction module unless the caller says otherwise."""
    min_share: float
    """Share of an image's counts below which a class is dropped although K has room; 0 keeps K classes (published)."""
    width: int
    """D, channels of the cost embedding and of ESCF."""
    cost_width: int
    guidance_width: int
    layers: int
    """Number of ESCF layers."""
    heads: int
    decoder_widths: tuple[int, int, int]
    decoder_guidance_widths: tuple[int, int, int]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build from parsed JSON. Raises InputError naming missing and unknown fields."""
        names = {field.name for field in dataclasses.fields(cls)}
        if missing := sorted(names - values.keys()):
            raise InputError(f"model configuration lacks {', '.join(missing)}")
        if unknown := sorted(values.keys() - names):
            raise InputError(f"model configuration has unknown fields {', '.join(unknown)}")
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

    def changed(
        self,
        *,
        input_size: tuple[int, int] | None = None,
        resize: str | None = None,
        max_classes: int | None = None,
        min_share: float | None = None,
    ) -> ModelConfig:
        """With what a user chose in place of the model's own; None leaves it. Raises InputError for a wrong one."""
        changes: dict[str, Any] = {}
        if input_size is not None:
            changes["input_size"] = check_input_size(input_size)
        if resize is not None:
            changes["resize"] = check_resize(resize)
        if max_classes is not None:
            changes["max_classes"] = check_max_classes(max_classes)
        if min_share is not None:
            changes["min_share"] = check_min_share(min_share)
        return dataclasses.replace(self, **changes)


def list_models() -> tuple[str, ...]:
    """Names of the models that there is a configuration for."""
    files = resources.files("errseg_model").joinpath("configs").iterdir()
    return tuple(sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json")))


def model_config(name: str) -> ModelConfig:
    """The configuration of model `name`. Raises InputError with the names there are."""
    if name not in list_models():
        raise InputError(f"unknown model {name!r}: expected one of {', '.join(list_models())}")
    text = (resources.files("errseg_model") / "configs" / f"{name}.json").read_text(encoding="utf-8")
    return ModelConfig.from_dict(json.loads(text))


def check_resize(resize: str) -> str:
    """Return `resize`. Raises InputError unless it is one of RESIZES."""
    if resize not in RESIZES:
        raise InputError(f"resize must be one of {', '.join(RESIZES)}, got {resize!r}")
    return resize


def check_max_classes(max_classes: int) -> int:
    """Return K. Raises InputError below 1."""
    if max_classes < 1:
        raise InputError(f"max_classes must be at least 1, got {max_classes}")
    return max_classes


def check_min_share(min_share: float) -> float:
    """Return `min_share`. Raises InputError outside 0..1."""
    if not 0 <= min_share <= 1:
        raise InputError(f"min_share must be in 0..1, got {min_share}")
    return min_share


def check_input_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return `size` (height, width). Raises InputError unless both are positive multiples of 32."""
    if len(size) != 2 or any(side < INPUT_MULTIPLE or side % INPUT_MULTIPLE for side in size):
        raise InputError(
            f"input size must be two positive multiples of {INPUT_MULTIPLE} (height, width), got {list(size)}"
        )
    return size[0], size[1]

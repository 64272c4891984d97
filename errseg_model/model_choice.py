"""Which model is run, and how: what options of commands come to, as plain data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errseg_model.config import model_config

if TYPE_CHECKING:
    from errseg_model.segmenter import Segmenter


@dataclass(frozen=True)
class ModelChoice:
    """The arguments of `Segmenter.from_pretrained`, which explains them; None is the model's own."""

    model: str = "errseg-lite"
    checkpoint: Path | None = None
    input_size: tuple[int, int] | None = None
    max_classes: int | None = None
    device: str = "auto"
    resize: str | None = None
    min_share: float | None = None
    backend: str = "pytorch"
    precision: str = "float32"

    @classmethod
    def of(cls, holder: object) -> ModelChoice:
        """Taken from an object with attributes of these names, such as the options of a command."""
        return cls(**{field.name: getattr(holder, field.name) for field in dataclasses.fields(cls)})

    @property
    def arguments(self) -> dict[str, Any]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def way_of_running(self) -> dict[str, str | None]:
        """By a name for people, what changes figures besides model, size and K."""
        return {
            "resize": self.resize,
            "least share": None if self.min_share is None else f"{self.min_share:g}",
            "backend": self.backend,
            "precision": self.precision,
        }

    def completed(self) -> ModelChoice:
        """With the model's own values where nothing else was chosen. Raises InputError for an unknown model."""
        own = model_config(self.model)
        names = [name for name, value in self.arguments.items() if value is None and name != "checkpoint"]
        return dataclasses.replace(self, **{name: getattr(own, name) for name in names})

    def load(self) -> Segmenter:
        """Raises InputError."""
        # PyTorch takes seconds to import: not for those who only read options.
        from errseg_model.segmenter import Segmenter

        return Segmenter.from_pretrained(**self.arguments)

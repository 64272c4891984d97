"""What an evaluation is asked for: plain data that goes to other processes as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errseg_model.config import model_config
from errseg_ros.evaluate_bag.labels import LabelKey
from errseg_ros.evaluate_bag.results import VocabularyPeriod

if TYPE_CHECKING:
    from errseg_model.segmenter import Segmenter
    from errseg_model.vocabulary import Vocabulary

DEFAULT_TOLERANCE_SECONDS = 0.001
"""A label has its image's stamp; a millisecond more allows for tools that round."""


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and how it is run; None is the model's own."""

    name: str = "errseg-lite"
    checkpoint: Path | None = None
    input_size: tuple[int, int] | None = None
    max_classes: int | None = None
    device: str = "auto"
    resize: str | None = None
    min_share: float | None = None
    backend: str = "pytorch"
    precision: str = "float32"

    def load(self) -> Segmenter:
        """Raises InputError."""
        # PyTorch takes seconds to import: not for those who only read a bag.
        from errseg_model.segmenter import Segmenter

        return Segmenter.from_pretrained(
            self.name,
            checkpoint=self.checkpoint,
            device=self.device,
            input_size=self.input_size,
            max_classes=self.max_classes,
            resize=self.resize,
            min_share=self.min_share,
            backend=self.backend,
            precision=self.precision,
        )

    def in_words(self) -> dict[str, str]:
        """By name how it is run, besides what the report has anyway. Raises InputError for a model that is unknown."""
        own = model_config(self.name)
        return {
            "resize": own.resize if self.resize is None else self.resize,
            "least share": f"{own.min_share if self.min_share is None else self.min_share:g}",
            "backend": self.backend,
            "precision": self.precision,
        }


@dataclass(frozen=True)
class Comparison:
    """A second model, vocabulary or both, that the masks are compared with."""

    model: ModelChoice
    vocabulary: Vocabulary | None
    """None: the one in force."""

    def in_words(self, evaluated: ModelChoice) -> str:
        """What differs from the evaluated model, for people."""
        model, parts = self.model, []
        if (model.name, model.checkpoint) != (evaluated.name, evaluated.checkpoint):
            parts.append(f"{model.name}{f' ({model.checkpoint.name})' if model.checkpoint else ''}")
        if model.input_size != evaluated.input_size and model.input_size is not None:
            parts.append("input size {}x{}".format(*model.input_size))
        if model.max_classes != evaluated.max_classes and model.max_classes is not None:
            parts.append(f"max_classes {model.max_classes}")
        others = {
            "resize": (model.resize, evaluated.resize),
            "least share": (model.min_share, evaluated.min_share),
            "backend": (model.backend, evaluated.backend),
            "precision": (model.precision, evaluated.precision),
        }
        parts += [f"{name} {mine}" for name, (mine, its) in others.items() if mine is not None and mine != its]
        if self.vocabulary is not None:
            parts.append(f"the vocabulary {'; '.join(self.vocabulary.to_strings())}")
        return ", ".join(parts) or model.name


@dataclass(frozen=True)
class Settings:
    """Everything that the numbers depend on, but the bags."""

    model: ModelChoice
    periods: tuple[VocabularyPeriod, ...]
    """In the order of time; the first since 0. Without any, `prepare` chooses."""
    image_topic: str | None = None
    """None: the only one that the bag has."""
    label_topic: str | None = None
    label_key: LabelKey | None = None
    """None: the bag's LabelInfo tells."""
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS
    stride: int = 1
    confidence_threshold: float = 0.0
    comparison: Comparison | None = None

    def describe(self) -> dict[str, Any]:
        """By the name of its option what each setting is, as JSON has it: equal where the numbers would be."""
        key = self.label_key
        description: dict[str, Any] = {
            "--image-topic": self.image_topic,
            "--label-topic": self.label_topic,
            "--palette" if key and key.coloured else "--labels": None
            if key is None
            else [[str(key.classes[place]), value] for value, place in key.values],
            "--tolerance": self.tolerance_seconds,
            "--stride": self.stride,
            "--vocabulary and --vocabulary-at": [[p.since, p.vocabulary.to_strings()] for p in self.periods],
            "--confidence-threshold": self.confidence_threshold,
            **_describe(self.model, ""),
        }
        if self.comparison is not None:
            words = self.comparison.vocabulary
            description |= _describe(self.comparison.model, " of --compare")
            description["vocabulary of --compare"] = None if words is None else words.to_strings()
        return description


def _describe(model: ModelChoice, of: str) -> dict[str, Any]:
    file = model.checkpoint
    size = file.stat().st_size if file is not None and file.is_file() else None
    return {
        f"--model{of}": model.name,
        f"--checkpoint{of}": None if file is None else [str(file.absolute()), size],
        f"--input-size{of}": None if model.input_size is None else list(model.input_size),
        f"--max-classes{of}": model.max_classes,
        f"--device{of}": model.device,
        f"--resize{of}": model.resize,
        f"--min-share{of}": model.min_share,
        f"--backend{of}": model.backend,
        f"--precision{of}": model.precision,
    }

"""What an evaluation is asked for: plain data that goes to other processes as it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from errseg_model.files import sha256
from errseg_model.model_choice import ModelChoice
from errseg_ros.evaluate_bag.labels import LabelKey
from errseg_ros.evaluate_bag.results import VocabularyPeriod

if TYPE_CHECKING:
    from errseg_model.vocabulary import Vocabulary

DEFAULT_TOLERANCE_SECONDS = 0.001
"""A label has its image's stamp; a millisecond more allows for tools that round."""


PERIODS = "--vocabulary and --vocabulary-at"
"""Name of the vocabularies among the described settings."""


@dataclass(frozen=True)
class Comparison:
    """A second model, vocabulary or both, that the masks are compared with."""

    model: ModelChoice
    vocabulary: Vocabulary | None
    """None: the one in force."""

    def in_words(self, evaluated: ModelChoice) -> str:
        """What differs from the evaluated model, for people."""
        model, parts = self.model, []
        if (model.model, model.checkpoint) != (evaluated.model, evaluated.checkpoint):
            parts.append(f"{model.model}{f' ({model.checkpoint.name})' if model.checkpoint else ''}")
        if model.input_size != evaluated.input_size and model.input_size is not None:
            parts.append("input size {}x{}".format(*model.input_size))
        if model.max_classes != evaluated.max_classes and model.max_classes is not None:
            parts.append(f"max_classes {model.max_classes}")
        theirs = evaluated.way_of_running
        parts += [f"{name} {mine}" for name, mine in model.way_of_running.items() if mine not in (None, theirs[name])]
        if self.vocabulary is not None:
            parts.append(f"the vocabulary {'; '.join(self.vocabulary.to_strings())}")
        return ", ".join(parts) or model.model


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
        """By the name of its option what each setting is, as JSON has it: equal where the numbers would be.

        Reads the checkpoints, which are known by their content. Raises InputError for one that cannot be read.
        """
        key = self.label_key
        description: dict[str, Any] = {
            "--image-topic": self.image_topic,
            "--label-topic": self.label_topic,
            "--palette" if key and key.coloured else "--labels": None
            if key is None
            else [[str(key.classes[place]), value] for value, place in key.values],
            "--tolerance": self.tolerance_seconds,
            "--stride": self.stride,
            PERIODS: [[p.since, p.vocabulary.to_strings()] for p in self.periods],
            "--confidence-threshold": self.confidence_threshold,
            "version of errseg": metadata.version("errseg_ros"),
            **_describe(self.model, ""),
        }
        if self.comparison is not None:
            words = self.comparison.vocabulary
            description |= _describe(self.comparison.model, " of --compare")
            description["vocabulary of --compare"] = None if words is None else words.to_strings()
        return description


def _describe(model: ModelChoice, of: str) -> dict[str, Any]:
    file = model.checkpoint
    values = model.arguments | {"checkpoint": None if file is None else str(file.absolute())}
    options = {f"--{name.replace('_', '-')}{of}": value for name, value in values.items()}
    # One that is not there is told when the model is loaded.
    content = sha256(file) if file is not None and os.path.isfile(file) else None
    return options | {f"content (SHA-256) of --checkpoint{of}": content}

"""A model against a labelled data set: IoU per class and time per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errseg_model.datasets import Dataset
from errseg_model.errors import InputError
from errseg_model.evaluation.comparison import compare
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.evaluation.renaming import rename
from errseg_model.segmenter import Segmenter
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_model.wording import listed

SHOWN_CLASSES = 20
"""Classes that a message names before it says how many more there are."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one split."""

    dataset: str
    split: str
    max_classes: int
    """K of the channel reduction."""
    classes: tuple[str, ...]
    """The data set's classes, in the order of its ids."""
    confusion: ConfusionMatrix
    latency_ms: NDArray[np.float64]
    """(frames,) image in memory to result in memory."""
    missing: tuple[str, ...]
    """Classes of the data set that the vocabulary lacks."""
    surplus: tuple[str, ...]
    """Classes of the vocabulary that the data set lacks."""

    def to_json(self) -> dict[str, Any]:
        """The keys of the public interface; null where a class has neither truth nor prediction."""
        p50, p90, p99 = np.percentile(self.latency_ms, (50, 90, 99))
        return {
            **self.confusion.to_json(self.classes),
            "frames": len(self.latency_ms),
            "latency_ms": {"p50": p50, "p90": p90, "p99": p99},
            "dataset": self.dataset,
            "split": self.split,
            "max_classes": self.max_classes,
            "classes_missing_in_vocabulary": list(self.missing),
            "classes_missing_in_dataset": list(self.surplus),
        }


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    vocabulary: Vocabulary | None = None,
    renamed: Mapping[str, VocabularyEntry] | None = None,
) -> Evaluation:
    """Segment every image of a data set and compare.

    Args:
        segmenter: the model.
        dataset: labelled images and their class names.
        vocabulary: what to segment into, matched with the data set's classes by name; None takes those classes.
        renamed: other words for some of the vocabulary's names; matched before, encoded after renaming.

    Raises:
        InputError: no class in common, `renamed` names a class that is not there, or labels without a class.
        DatasetError: a file of the data set cannot be read.
    """
    vocabulary = vocabulary or dataset.vocabulary
    ids = {VocabularyEntry.parse(name).key: label for label, name in enumerate(dataset.classes)}
    labels = [ids.get(entry.key, len(ids)) for entry in vocabulary.entries]
    if set(labels) == {len(ids)}:
        there_are = listed(dataset.classes, SHOWN_CLASSES)
        raise InputError(f"the vocabulary has none of the data set's classes, which are {there_are}")
    encoded = segmenter.encode(rename(vocabulary, renamed or {}))
    confusion, latencies = ConfusionMatrix(len(dataset.classes)), []
    for image in compare(segmenter, dataset, encoded, labels, "evaluating"):
        confusion.update(image.labels, image.predicted)
        latencies.append(image.latency_ms)
    if not confusion.counts.any():
        raise InputError(f"no pixel of the labels counts: all of {len(dataset)} images are void")
    return Evaluation(
        dataset=dataset.specification.name,
        split=dataset.split,
        max_classes=segmenter.config.max_classes,
        classes=dataset.classes,
        confusion=confusion,
        latency_ms=np.array(latencies),
        missing=tuple(name for label, name in enumerate(dataset.classes) if label not in labels),
        surplus=tuple(e.name for e, x in zip(vocabulary.entries, labels, strict=True) if x == len(ids)),
    )

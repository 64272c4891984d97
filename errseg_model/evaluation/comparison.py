"""The loop that every measurement of a model on labelled images goes through."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from errseg_model.datasets import Dataset
from errseg_model.result import UNLABELLED
from errseg_model.segmenter import EncodedVocabulary, Segmenter

WARM_UP = 2
"""Images segmented before the clock counts."""


@dataclass(frozen=True)
class Comparison:
    """One labelled image of (H, W) pixels and what a model says of it."""

    classes: int
    """Of the data set."""
    labels: NDArray[np.uint8] | NDArray[np.uint16]
    """(H, W) the truth; `classes` where a pixel does not count."""
    predicted: NDArray[np.uint16]
    """(H, W) the label that the model's class counts as; `classes` or more where it counts as none of them."""
    kept: NDArray[np.uint16]
    """(K,) the labels that the classes which the channel reduction kept count as."""
    confidence: NDArray[np.float32]
    """(H, W) 0..1."""
    latency_ms: float
    """Image in memory to result in memory."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(H, W) the pixels whose truth is a class."""
        return np.less(self.labels, self.classes)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(H, W) the pixels whose class is right."""
        return np.equal(self.predicted, self.labels)


def compare(
    segmenter: Segmenter, dataset: Dataset, encoded: EncodedVocabulary, labels: Sequence[int], doing: str
) -> Iterator[Comparison]:
    """Segment every image of a data set, after warming up, and put it beside its truth.

    Args:
        segmenter: the model.
        dataset: labelled images.
        encoded: the words.
        labels: what each position of the vocabulary counts as; the number of classes, or more, for none of them.
        doing: for the progress that is shown.

    Raises:
        DatasetError: a file of the data set cannot be read.
        ValueError: not one label for each position of the vocabulary.
    """
    classes = len(dataset.classes)
    label_of = np.full(UNLABELLED + 1, classes, np.uint16)
    label_of[: len(encoded.vocabulary)] = labels
    first = dataset[0].image
    for _ in range(WARM_UP):
        segmenter.segment([first], encoded)
    for sample in tqdm(dataset, total=len(dataset), desc=doing, unit="image"):
        started = time.perf_counter()
        result = segmenter.segment([sample.image], encoded)[0]
        latency_ms = (time.perf_counter() - started) * 1000
        yield Comparison(
            classes=classes,
            labels=sample.labels,
            predicted=label_of[result.mask],
            kept=label_of[result.selected],
            confidence=result.confidence,
            latency_ms=latency_ms,
        )

"""What a model gets right beyond mIoU: whether its classes survive the channel reduction, and its confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errseg_model.datasets import Dataset
from errseg_model.evaluation.calibration import Reliability
from errseg_model.evaluation.comparison import compare
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.segmenter import Segmenter
from errseg_model.vocabulary import Vocabulary

PIXELS_OF_AN_IMAGE = 2000
"""Pixels of an image that calibration is fitted to: neighbours say the same."""


@dataclass(frozen=True)
class Accuracy:
    """A model on a split under one vocabulary."""

    confusion: ConfusionMatrix
    reliability: Reliability
    complete: int
    """Images of which the channel reduction kept every class that is in the truth."""
    kept: NDArray[np.int64]
    """(images,) classes that the channel reduction kept."""
    latency_ms: NDArray[np.float64]
    """(images,) image in memory to result in memory."""

    @property
    def hit_rate(self) -> float:
        """Share of the images whose classes were all kept."""
        return self.complete / len(self.latency_ms)


@dataclass(frozen=True)
class Confidence:
    """How sure a model is of the labelled pixels of a split, and whether it is right."""

    reliability: Reliability
    """Of all these pixels."""
    logits: NDArray[np.float64]
    """(N,) of the best class, of some of the pixels of every image."""
    right: NDArray[np.bool_]
    """(N,) whether that class is right."""


def measure(
    segmenter: Segmenter, dataset: Dataset, vocabulary: Vocabulary, counts_as: Sequence[int] | None = None
) -> Accuracy:
    """Segment every image of a data set and compare.

    Args:
        segmenter: the model.
        dataset: labelled images.
        vocabulary: the data set's classes in order, under any words, then any others.
        counts_as: in place of that order, the label that each position of the vocabulary counts as.

    Raises:
        DatasetError: a file of the data set cannot be read.
        ValueError: `counts_as` has not one label for each position, or a confidence is not in 0..1.
    """
    confusion, reliability, complete = ConfusionMatrix(len(dataset.classes)), Reliability(), 0
    kept: list[int] = []
    latencies: list[float] = []
    encoded = segmenter.encode(vocabulary)
    labels = range(len(vocabulary)) if counts_as is None else counts_as
    for image in compare(segmenter, dataset, encoded, labels, f"{len(vocabulary)} names"):
        counted = image.counted
        confusion.update(image.labels, image.predicted)
        reliability.update(image.confidence[counted], image.right[counted])
        complete += set(np.unique(image.labels[counted])) <= set(image.kept.tolist())
        kept.append(len(image.kept))
        latencies.append(image.latency_ms)
    return Accuracy(confusion, reliability, complete, np.array(kept), np.array(latencies))


def measure_confidence(segmenter: Segmenter, dataset: Dataset) -> Confidence:
    """Segment every image of a data set by its classes' names, and note how sure the model is.

    Raises:
        DatasetError: a file of the data set cannot be read.
        ValueError: a confidence is not in 0..1.
    """
    vocabulary, rng = dataset.vocabulary, np.random.default_rng(0)
    reliability, logits, right = Reliability(), [], []
    for image in compare(segmenter, dataset, segmenter.encode(vocabulary), range(len(vocabulary)), "calibrating"):
        score, is_right = image.confidence[image.counted], image.right[image.counted]
        reliability.update(score, is_right)
        chosen = rng.permutation(len(score))[:PIXELS_OF_AN_IMAGE]
        clipped = score[chosen].astype(np.float64).clip(1e-6, 1 - 1e-6)
        logits.append(np.log(clipped / (1 - clipped)))
        right.append(is_right[chosen])
    return Confidence(reliability, np.concatenate(logits), np.concatenate(right))


def crowded(vocabulary: Vocabulary, lists: Sequence[Vocabulary], excluded: Sequence[str], size: int) -> Vocabulary:
    """The vocabulary with names of others after it, `size` in all, none of which is there yet or excluded.

    Raises ValueError when the lists have too few.
    """
    taken = {name.lower() for name in (*vocabulary.names, *excluded)}
    entries = list(vocabulary.entries)
    for entry in (entry for other in lists for entry in other.entries):
        if len(entries) < size and entry.name.lower() not in taken:
            taken.add(entry.name.lower())
            entries.append(entry)
    if len(entries) < size:
        raise ValueError(f"the lists have only {len(entries)} names, expected {size}")
    return Vocabulary(tuple(entries))

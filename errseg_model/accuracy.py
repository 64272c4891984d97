"""What a model gets right beyond mIoU: whether its classes survive the channel reduction, and its confidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from errseg_model.calibration import Reliability
from errseg_model.datasets import Dataset
from errseg_model.metrics import ConfusionMatrix
from errseg_model.result import UNLABELLED
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


def measure(
    segmenter: Segmenter, dataset: Dataset, vocabulary: Vocabulary, counts_as: Sequence[int] | None = None
) -> Accuracy:
    """Segment every image of a data set and compare.

    Args:
        segmenter: the model.
        dataset: labelled images.
        vocabulary: the data set's classes in order, under any words, then any others.
        counts_as: in place of that order, the label that each position of the vocabulary counts as.
    """
    encoded = segmenter.encode(vocabulary)
    count = len(dataset.classes)
    label_of = np.full(UNLABELLED + 1, count, np.uint16)
    label_of[: len(vocabulary)] = range(len(vocabulary)) if counts_as is None else counts_as
    confusion, reliability, complete = ConfusionMatrix(count), Reliability(), 0
    kept: list[int] = []
    latencies: list[float] = []
    for sample in tqdm(dataset, total=len(dataset), desc=f"{len(encoded.vocabulary)} names", unit="image"):
        started = time.perf_counter()
        result = segmenter.segment([sample.image], encoded)[0]
        latencies.append((time.perf_counter() - started) * 1000)
        predicted = label_of[result.mask]
        confusion.update(sample.labels, predicted)
        counts = sample.labels < count
        reliability.update(result.confidence[counts], predicted[counts] == sample.labels[counts])
        complete += set(np.unique(sample.labels[counts])) <= set(label_of[result.selected].tolist())
        kept.append(len(result.selected))
    return Accuracy(confusion, reliability, complete, np.array(kept), np.array(latencies))


def sample_logits(segmenter: Segmenter, dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits (N,) of the best class of some labelled pixels of every image, and whether it is right (N,)."""
    encoded, rng = segmenter.encode(dataset.vocabulary), np.random.default_rng(0)
    logits, right = [], []
    for sample in tqdm(dataset, total=len(dataset), desc="calibrating", unit="image"):
        result = segmenter.segment([sample.image], encoded)[0]
        rows, columns = np.nonzero(sample.labels < len(dataset.classes))
        chosen = rng.permutation(len(rows))[:PIXELS_OF_AN_IMAGE]
        pixels = rows[chosen], columns[chosen]
        score = result.confidence[pixels].astype(np.float64).clip(1e-6, 1 - 1e-6)
        logits.append(np.log(score / (1 - score)))
        right.append(result.mask[pixels] == sample.labels[pixels])
    return np.concatenate(logits), np.concatenate(right)


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

"""What adds up over the images of one bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_ros.evaluate_bag.exhibits import Painter, Shelf
from errseg_ros.evaluate_bag.labels import folding, match_classes
from errseg_ros.evaluate_bag.rows import Row, Rows

_MASK_VALUES = UNLABELLED + 1


@dataclass(frozen=True)
class Answer:
    """What a model says of one image, and what is known of it."""

    index: int
    """Position among the images of its topic."""
    stamp_ns: int
    seconds: float
    """Since the bag's first image."""
    vocabulary: int
    """Position of the one in force."""
    latency_ms: float
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mask: NDArray[np.uint16]
    """(H, W) positions in the vocabulary, or UNLABELLED."""
    confidence: NDArray[np.float32]
    """(H, W) 0..1."""
    truth: NDArray[np.uint16] | None
    """(H, W) positions of the label's classes, their number where a pixel does not count."""
    other_mask: NDArray[np.uint16] | None = None
    """(H, W) of the compared model, in positions of its own vocabulary, or UNLABELLED."""
    other_vocabulary: Vocabulary | None = None


class Accumulator:
    """Rows, counted pixels and exhibits of one bag. Memory does not grow with images, but for the rows' numbers."""

    def __init__(self, vocabularies: Sequence[Vocabulary], classes: Sequence[VocabularyEntry]) -> None:
        """`classes`: of the labels; empty without any."""
        self.vocabularies: tuple[Vocabulary, ...] = ()
        self.classes = tuple(classes)
        self.rows = Rows()
        self.pixels: list[NDArray[np.int64]] = []
        """By vocabulary (classes, T + 1) pixels by their truth and by the entry that they are called; the last column
        is of unlabelled ones. Which class an entry means depends on the labels of all bags, so `merge` decides it."""
        self.worst = Shelf(highest=False)
        self.best = Shelf(highest=True)
        self.labelled = 0
        self.previous: tuple[int, NDArray[np.uint16]] | None = None
        """Vocabulary and mask of the image before."""
        self._folding: list[NDArray[np.int64]] = []
        self._painters: dict[int, Painter] = {}
        for vocabulary in vocabularies:
            self.add_vocabulary(vocabulary)

    def add_vocabulary(self, vocabulary: Vocabulary) -> None:
        """One more, which answers name by its position."""
        self.vocabularies = (*self.vocabularies, vocabulary)
        self.pixels.append(np.zeros((len(self.classes), len(vocabulary) + 1), np.int64))
        self._folding.append(folding(vocabulary, self.classes))

    def add(self, answer: Answer) -> None:
        """Count one image; they come in the order of the bag."""
        pairs = self._count_pairs(answer)
        *counts, unlabelled = pairs.sum(0).tolist()
        pixels = answer.mask.size
        accuracy, miou = self._compare_with_truth(answer, pairs)
        row = Row(
            index=answer.index,
            stamp_ns=answer.stamp_ns,
            seconds=answer.seconds,
            vocabulary=answer.vocabulary,
            latency_ms=answer.latency_ms,
            confidence=_mean_confidence(answer, unlabelled),
            unlabelled=unlabelled / pixels,
            counts=np.array(counts, np.int64),
            pixels=pixels,
            flicker=self._flicker(answer),
            disagreement=self._disagreement(answer),
            pixel_accuracy=accuracy,
            miou=miou,
        )
        self.previous = (answer.vocabulary, answer.mask)
        self.labelled += answer.truth is not None
        draw = partial(self._painter(answer.vocabulary).draw, answer.image, answer.mask, answer.truth)
        for shelf in (self.worst, self.best):
            shelf.offer(len(self.rows), row, draw)
        self.rows.append(row)

    def _count_pairs(self, answer: Answer) -> NDArray[np.int64]:
        """(classes + 1, T + 1) pixels by truth and prediction; last come those that do not count, and unlabelled ones.

        Everything that is counted of an image comes from this: its pixels are gone through once.
        """
        columns = len(self.vocabularies[answer.vocabulary]) + 1
        rows = len(self.classes) + 1
        # The fewer bytes, the faster; the classes of most vocabularies make fewer pairs than 16 bits can tell apart.
        kind = np.uint16 if rows * columns <= _MASK_VALUES else np.uint32
        pairs: NDArray[Any] = np.minimum(answer.mask, np.uint16(columns - 1)).astype(kind, copy=False)
        first = 0 if answer.truth is not None else (rows - 1) * columns
        if answer.truth is not None:
            pairs = pairs + answer.truth * kind(columns)
        counts = np.bincount(pairs.ravel(), minlength=rows * columns - first)
        return np.concatenate([np.zeros(first, np.int64), counts]).reshape(rows, columns)

    def _compare_with_truth(self, answer: Answer, pairs: NDArray[np.int64]) -> tuple[float | None, float | None]:
        """Pixel accuracy and mIoU of one image, by the classes of this bag's labels."""
        if answer.truth is None:
            return None, None
        self.pixels[answer.vocabulary] += pairs[:-1]
        frame = ConfusionMatrix(len(self.classes))
        frame.counts += pairs[:-1] @ self._folding[answer.vocabulary]
        return (frame.pixel_accuracy(), frame.miou()) if frame.counts.any() else (None, None)

    def _flicker(self, answer: Answer) -> float | None:
        if self.previous is None:
            return None
        vocabulary, mask = self.previous
        if vocabulary != answer.vocabulary or mask.shape != answer.mask.shape:
            return None
        return float(np.count_nonzero(mask != answer.mask) / mask.size)

    def _disagreement(self, answer: Answer) -> float | None:
        if answer.other_mask is None or answer.other_vocabulary is None:
            return None
        vocabulary = self.vocabularies[answer.vocabulary]
        other = answer.other_mask
        if answer.other_vocabulary != vocabulary:
            other = np.take(_in_words_of(vocabulary, answer.other_vocabulary), other)
        return float(np.count_nonzero(other != answer.mask) / other.size)

    def _painter(self, vocabulary: int) -> Painter:
        if vocabulary not in self._painters:
            self._painters[vocabulary] = Painter(self.vocabularies[vocabulary], self.classes)
        return self._painters[vocabulary]


def _mean_confidence(answer: Answer, unlabelled: int) -> float:
    """Over the labelled pixels. OpenCV adds up in 64 bits, and faster than NumPy."""
    if not unlabelled:
        return float(cv2.mean(answer.confidence)[0])
    return float(cv2.mean(answer.confidence, (answer.mask != UNLABELLED).view(np.uint8))[0])


def _in_words_of(vocabulary: Vocabulary, other: Vocabulary) -> NDArray[np.uint16]:
    """(65536,) position in `vocabulary` by mask value of the other one; its size for classes that it lacks."""
    table = np.full(_MASK_VALUES, len(vocabulary), np.uint16)
    table[: len(other)] = match_classes(other, vocabulary.entries)
    table[UNLABELLED] = UNLABELLED
    return table

"""What adds up over the images of one bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from errseg_model.metrics import ConfusionMatrix
from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_ros.evaluate_bag.exhibits import Painter, Shelf
from errseg_ros.evaluate_bag.labels import match_classes
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
    """Rows, confusion matrix and exhibits of one bag. Memory does not grow with images, but for the rows' numbers."""

    def __init__(self, vocabularies: Sequence[Vocabulary], classes: Sequence[VocabularyEntry]) -> None:
        """`classes`: of the labels; empty without any."""
        self.vocabularies: tuple[Vocabulary, ...] = ()
        self.classes = tuple(classes)
        self.rows = Rows()
        self.confusion = ConfusionMatrix(len(classes))
        self.worst = Shelf(highest=False)
        self.best = Shelf(highest=True)
        self.labelled = 0
        self.previous: tuple[int, NDArray[np.uint16]] | None = None
        """Vocabulary and mask of the image before."""
        self._class_of: list[NDArray[np.uint16]] = []
        self._painters: dict[int, Painter] = {}
        for vocabulary in vocabularies:
            self.add_vocabulary(vocabulary)

    def add_vocabulary(self, vocabulary: Vocabulary) -> None:
        """One more, which answers name by its position."""
        self.vocabularies = (*self.vocabularies, vocabulary)
        places = match_classes(vocabulary, self.classes)
        self._class_of.append(_mask_table(vocabulary, places, len(self.classes)))

    def add(self, answer: Answer) -> None:
        """Count one image; they come in the order of the bag."""
        counts = np.bincount(answer.mask.ravel(), minlength=_MASK_VALUES)
        pixels = answer.mask.size
        unlabelled = int(counts[UNLABELLED])
        accuracy, miou = self._compare_with_truth(answer)
        row = Row(
            index=answer.index,
            stamp_ns=answer.stamp_ns,
            seconds=answer.seconds,
            vocabulary=answer.vocabulary,
            latency_ms=answer.latency_ms,
            confidence=_mean_confidence(answer, unlabelled),
            unlabelled=unlabelled / pixels,
            counts=counts[: len(self.vocabularies[answer.vocabulary])],
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

    def _compare_with_truth(self, answer: Answer) -> tuple[float | None, float | None]:
        """Pixel accuracy and mIoU of one image."""
        if answer.truth is None:
            return None, None
        frame = ConfusionMatrix(len(self.classes))
        frame.update(answer.truth, np.take(self._class_of[answer.vocabulary], answer.mask))
        self.confusion.counts += frame.counts
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
            places = match_classes(answer.other_vocabulary, vocabulary.entries)
            other = np.take(_mask_table(answer.other_vocabulary, places, len(vocabulary), UNLABELLED), other)
        return float(np.count_nonzero(other != answer.mask) / other.size)

    def _painter(self, vocabulary: int) -> Painter:
        if vocabulary not in self._painters:
            self._painters[vocabulary] = Painter(self.vocabularies[vocabulary], self.classes)
        return self._painters[vocabulary]


def _mean_confidence(answer: Answer, unlabelled: int) -> float:
    if not unlabelled:
        return float(answer.confidence.mean(dtype=np.float64))
    sure = answer.confidence[answer.mask != UNLABELLED]
    return float(sure.mean(dtype=np.float64)) if sure.size else 0.0


def _mask_table(
    vocabulary: Vocabulary, places: NDArray[np.int64], none: int, unlabelled: int | None = None
) -> NDArray[np.uint16]:
    """(65536,) what each value of a mask means: places of the classes, `none` for all that means none of them."""
    table = np.full(_MASK_VALUES, none, np.uint16)
    table[: len(vocabulary)] = places
    table[UNLABELLED] = none if unlabelled is None else unlabelled
    return table

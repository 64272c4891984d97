"""The images that the report shows: the worst and the best, not twice the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.visualization import palette
from errseg_model.vocabulary import MAX_ENTRIES, Vocabulary, VocabularyEntry
from errseg_ros.evaluate_bag.labels import match_classes
from errseg_ros.evaluate_bag.rows import Row

EXHIBITS = 4
"""Of the worst images, and as many of the best."""
APART_SECONDS = 2.0
MAX_WIDTH = 640

_KEPT = 2 * EXHIBITS  # as two neighbouring stretches may be too near to each other


@dataclass(frozen=True)
class Pictures:
    """An image in small, and the colours of its truth and mask; all (h, w, 3) RGB."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    mask: NDArray[np.uint8]
    colours: Mapping[str, tuple[int, int, int]]
    """Of the classes that truth or mask show."""
    wrong: NDArray[np.bool_] | None = None
    """(h, w) where the mask is wrong; None without truth."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An image that may be shown."""

    row: int
    """Its place among the rows of its bag."""
    seconds: float
    labelled: bool
    score: float
    """mIoU where there is a truth, else confidence."""
    pictures: Pictures


class Shelf:
    """The few images of one bag with the lowest (or highest) scores; those with a truth go before all others.

    Of every stretch of APART_SECONDS the first in rank is kept, and of the stretches some: an image is taken at once
    or never, so that no other pictures are kept.
    """

    def __init__(self, highest: bool, candidates: Iterable[Candidate] = ()) -> None:
        self._highest = highest
        self._by_stretch = {_stretch(candidate.seconds): candidate for candidate in candidates}

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All that are kept, the first in rank first."""
        return tuple(sorted(self._by_stretch.values(), key=self._rank_of))

    def chosen(self) -> tuple[Candidate, ...]:
        """The first in rank, no two within APART_SECONDS."""
        chosen: list[Candidate] = []
        for candidate in self.candidates:
            if all(abs(candidate.seconds - other.seconds) >= APART_SECONDS for other in chosen):
                chosen.append(candidate)
        return tuple(chosen[:EXHIBITS])

    def offer(self, place: int, row: Row, draw: Callable[[], Pictures]) -> None:
        """Take the image of a row if it is among the few; only then it is drawn."""
        labelled = row.miou is not None
        score = row.miou if row.miou is not None else row.confidence
        stretch = _stretch(row.seconds)
        rival = self._by_stretch.get(stretch)
        if rival is None and len(self._by_stretch) >= _KEPT:
            rival = self.candidates[-1]
        if rival is not None:
            if self._rank_of(rival) <= self._rank(labelled, score):
                return
            del self._by_stretch[_stretch(rival.seconds)]
        self._by_stretch[stretch] = Candidate(place, row.seconds, labelled, score, draw())

    def _rank_of(self, candidate: Candidate) -> tuple[bool, float]:
        return self._rank(candidate.labelled, candidate.score)

    def _rank(self, labelled: bool, score: float) -> tuple[bool, float]:
        return not labelled, -score if self._highest else score


def _stretch(seconds: float) -> int:
    return int(seconds // APART_SECONDS)


class Painter:
    """Draws images with truth and mask in the same colours, under one vocabulary."""

    def __init__(self, vocabulary: Vocabulary, classes: Sequence[VocabularyEntry]) -> None:
        self._meant = np.append(match_classes(vocabulary, classes), len(classes))
        meant = self._meant[:-1].tolist()
        strangers = [place for place in range(len(classes)) if place not in meant][: MAX_ENTRIES - len(vocabulary)]
        added = tuple(VocabularyEntry(classes[place].name) for place in strangers)
        together = Vocabulary((*vocabulary.entries, *added))
        self._names = together.names
        self._colours = np.concatenate([palette(together), np.zeros((1, 3), np.uint8)])
        # Of the classes the position in `together`; the one after its last is black, as pixels that do not count.
        self._of_class = np.full(len(classes) + 1, len(together), np.uint16)
        for position, place in reversed(list(enumerate(meant))):
            if place < len(classes):
                self._of_class[place] = position
        self._of_class[strangers] = len(vocabulary) + np.arange(len(strangers))

    def draw(self, image: NDArray[np.uint8], mask: NDArray[np.uint16], truth: NDArray[np.uint16] | None) -> Pictures:
        """`truth`: positions of the label's classes, their number where it does not count."""
        height, width = image.shape[:2]
        scale = min(1.0, MAX_WIDTH / width)
        size = (round(width * scale), max(round(height * scale), 1))
        small = image.copy() if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        nothing = len(self._names)
        mask = _shrunk(mask, size)
        shown = [np.minimum(mask, np.uint16(nothing))]
        wrong = None
        if truth is not None:
            truth = _shrunk(truth, size)
            shown.append(np.take(self._of_class, truth))
            # By what is meant, not by colour: several entries may mean the same class.
            called = np.take(self._meant, np.minimum(mask, len(self._meant) - 1))
            wrong = (called != truth) & (truth < len(self._of_class) - 1)
        present = np.flatnonzero(sum(np.bincount(picture.ravel(), minlength=nothing + 1) for picture in shown))
        colours = {self._names[position]: _rgb(self._colours[position]) for position in present if position < nothing}
        pictures = [np.take(self._colours, picture, axis=0) for picture in shown]
        truth_picture = pictures[1] if truth is not None else None
        return Pictures(np.asarray(small, np.uint8), truth_picture, pictures[0], colours, wrong)


def _shrunk(picture: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint16)


def _rgb(colour: NDArray[np.uint8]) -> tuple[int, int, int]:
    red, green, blue = colour.tolist()
    return red, green, blue

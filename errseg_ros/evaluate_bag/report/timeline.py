"""Frames in time, thinned out so that a drive of hours can be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errseg_ros.evaluate_bag.results import Evaluation, FrameResult

MAX_POINTS = 500
MAX_CHANGES = 20
"""Marked on the axis; more would hide what they mark."""
_GAP = 0.01  # between two bags, of the time of all

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """A bag's place on the time axis, on which the bags stand one after the other."""

    bag: str
    start: float
    end: float


@dataclass(frozen=True)
class Change:
    """Another vocabulary comes into force."""

    at: float
    """On the time axis."""
    vocabulary: int


@dataclass(frozen=True)
class Series:
    """Mean, least and greatest of a figure at each point; nan where it was not measured."""

    mean: Floats
    low: Floats
    high: Floats

    @property
    def measured(self) -> bool:
        """Whether there is anything to draw."""
        return not bool(np.isnan(self.mean).all())

    @property
    def lone(self) -> NDArray[np.bool_]:
        """(points,) measured, and neither of its neighbours is: no line goes through it."""
        measured = np.pad(~np.isnan(self.mean), 1)
        return np.asarray(measured[1:-1] & ~measured[:-2] & ~measured[2:])


class Timeline:
    """The time axis of an evaluation: its points, each of one frame or of several that follow each other."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._frames = frames = evaluation.frames
        self.frames = len(frames)
        self.frames_per_point = max(math.ceil(len(frames) / MAX_POINTS), 1)
        bags = _bags(frames)
        lengths = [max(frames[number].seconds for number in bag) for bag in bags]
        gap = sum(lengths) * _GAP or 1.0
        # A bag of one frame has no length: it is drawn as a short line.
        lengths = [length or 2 * gap for length in lengths]
        self.unit, scale = _unit(sum(lengths))
        self.stretches: list[Stretch] = []
        changes: list[Change] = []
        self._points: list[range] = []
        x: list[float] = []
        offset = 0.0
        for bag, length in zip(bags, lengths, strict=True):
            self.stretches.append(Stretch(frames[bag[0]].bag, offset / scale, (offset + length) / scale))
            for first in bag[:: self.frames_per_point]:
                point = range(first, min(first + self.frames_per_point, bag.stop))
                self._points.append(point)
                x.append(offset + sum(frames[number].seconds for number in point) / len(point))
            if x[-1] == offset:
                self._points.append(self._points[-1])
                x.append(offset + length)
            for number in bag[1:]:
                if frames[number].vocabulary != frames[number - 1].vocabulary:
                    changes.append(Change((offset + frames[number].seconds) / scale, frames[number].vocabulary))
            # A point of nothing, so that no line leads from one bag to the next.
            self._points.append(range(0))
            x.append(offset + length + gap / 2)
            offset += length + gap
        self.x: Floats = np.array(x, np.float64) / scale
        self.changes = changes if len(changes) <= MAX_CHANGES else []
        """Those to mark: none where there are too many."""
        self.changed = bool(changes)
        self.length = self.stretches[-1].end if self.stretches else 0.0

    def series(self, field: Callable[[FrameResult], float | None]) -> Series:
        """A figure of the frames at the points of the axis."""
        values = np.array([math.nan if (v := field(frame)) is None else v for frame in self._frames], np.float64)
        found = [values[point.start : point.stop] for point in self._points]
        found = [part[~np.isnan(part)] for part in found]
        mean, low, high = (
            np.array([function(part) if part.size else math.nan for part in found], np.float64)
            for function in (np.mean, np.min, np.max)
        )
        return Series(mean, low, high)

    def means(self, values: NDArray[np.float32]) -> Floats:
        """(frames, N) to (points, N); nan between bags."""
        return np.array(
            [
                values[point.start : point.stop].mean(axis=0) if len(point) else np.full(values.shape[1], np.nan)
                for point in self._points
            ],
            np.float64,
        ).reshape(len(self._points), values.shape[1])


def _bags(frames: Sequence[FrameResult]) -> list[range]:
    """Positions of the frames of each bag; they follow each other."""
    bags: list[range] = []
    start = 0
    for number in range(1, len(frames) + 1):
        if number == len(frames) or frames[number].bag != frames[start].bag:
            bags.append(range(start, number))
            start = number
    return bags


def _unit(seconds: float) -> tuple[str, float]:
    """The unit of the axis and its seconds."""
    if seconds <= 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds <= 3 * 3600 else ("hours", 3600.0)

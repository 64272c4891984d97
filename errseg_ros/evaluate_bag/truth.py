"""The label image that belongs to an image: by header stamp, the nearest within the tolerance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_ros.bags import BagMessage, BagReader
from errseg_ros.evaluate_bag.labels import LabelKey
from errseg_ros.evaluate_bag.problems import Problems
from errseg_ros.evaluate_bag.stamps import DISORDER_NS, stamp_or_zero

_KEPT = 64
"""Labels that were gone past and may still be asked for, as stamps run back a little."""


class TruthMatcher:
    """Finds the labels of a topic by the stamps of images, whenever they were recorded.

    The stamps of all labels are read at once; of their pictures only the last few are kept.
    """

    def __init__(self, reader: BagReader, topic: str, tolerance_ns: int) -> None:
        self._reader = reader
        self._topic = topic
        self._tolerance_ns = tolerance_ns
        stamps, times, numbers = [], [], []
        for number, recorded in enumerate(reader.messages([topic])):
            times.append(recorded.time_ns)
            numbers.append(number)
            stamps.append(stamp_or_zero(recorded.data))
        if not any(stamps):
            stamps = times
        table = np.array([stamps, times, numbers, _passes(stamps)], np.int64)
        table = table[:, table[0] != 0]
        self._stamps, self._times, self._numbers, self._passes = table[:, np.argsort(table[0], kind="stable")]
        self._start()
        self.nearest_ns: int | None = None
        """How far the nearest label was from an image that has none within the tolerance."""

    def find(self, stamp_ns: int, recorded_ns: int) -> BagMessage | None:
        """The label of the image with this stamp, of two as near the earlier; None without one.

        Where stamps come more than once, as in a drive that was played again, it is of the pass in which it was
        recorded nearest to the image.
        """
        first, end = np.searchsorted(self._stamps, (stamp_ns - self._tolerance_ns, stamp_ns + self._tolerance_ns + 1))
        if first == end:
            around = self._stamps[max(first - 1, 0) : first + 1]
            if around.size:
                distance = int(np.abs(around - stamp_ns).min())
                self.nearest_ns = distance if self.nearest_ns is None else min(self.nearest_ns, distance)
            return None
        nearest: dict[int, int] = {}
        for place in sorted(range(first, end), key=lambda place: abs(int(self._stamps[place]) - stamp_ns)):
            nearest.setdefault(int(self._passes[place]), place)
        chosen = min(nearest.values(), key=lambda place: abs(int(self._times[place]) - recorded_ns))
        return self._message(int(self._numbers[chosen]))

    def _start(self) -> None:
        self._ahead: Iterator[tuple[int, BagMessage]] = enumerate(self._reader.messages([self._topic]))
        self._kept: deque[tuple[int, BagMessage]] = deque(maxlen=_KEPT)

    def _message(self, number: int) -> BagMessage | None:
        if self._kept and number < self._kept[0][0]:  # an earlier pass is asked for again
            self._start()
        while not self._kept or self._kept[-1][0] < number:
            entry = next(self._ahead, None)
            if entry is None:
                return None
            self._kept.append(entry)
        return next(message for place, message in self._kept if place == number)


def _passes(stamps: list[int]) -> list[int]:
    """In which pass each stamp is, in the order of recording: one that jumps back begins the next."""
    passes, newest = [0] * len(stamps), 0
    for place, stamp in enumerate(stamps):
        before = passes[place - 1] if place else 0
        jumped = 0 < stamp < newest - 2 * DISORDER_NS
        passes[place] = before + jumped
        newest = stamp if jumped else max(newest, stamp)
    return passes


class Truths:
    """The truth of images: their labels found, read and checked."""

    def __init__(self, reader: BagReader, topic: str, key: LabelKey, tolerance_ns: int, problems: Problems) -> None:
        """`problems` takes what cannot be used of the labels."""
        self._reader = reader
        self._matcher = TruthMatcher(reader, topic, tolerance_ns)
        self._key = key
        self._problems = problems

    @property
    def nearest_ns(self) -> int | None:
        """How far the nearest label was from an image that has none within the tolerance."""
        return self._matcher.nearest_ns

    def of(self, index: int, stamp_ns: int, recorded_ns: int, size: tuple[int, int]) -> NDArray[np.uint16] | None:
        """(H, W) positions of the label's classes, for the image at `index` of size (H, W); None without a label."""
        recorded = self._matcher.find(stamp_ns, recorded_ns)
        if recorded is None:
            return None
        try:
            truth = self._key.read(self._reader.deserialize(recorded))
        except InputError as error:
            self._problems.note("labels that cannot be decoded", f"that of image {index}: {error}")
            return None
        if truth.shape != size:
            sizes = "{}x{}, not {}x{}".format(*truth.shape, *size)
            self._problems.note("labels of another size than their image", f"that of image {index}, {sizes}")
            return None
        return truth

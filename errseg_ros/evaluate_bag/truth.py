"""The label image that belongs to an image: by header stamp, the nearest within the tolerance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_ros.bags import BagMessage, BagReader
from errseg_ros.evaluate_bag.labels import LabelKey
from errseg_ros.evaluate_bag.problems import Problems
from errseg_ros.evaluate_bag.stamps import JUMP_NS, stamp_or_zero

_KEPT_BYTES = 1 << 26
"""Of labels that were gone past and may still be asked for, as stamps run back a little."""

_UNCLEAR = 1.1
"""Of two labels for an image it is not clear which is its own where their distances in time differ by less."""

_FOREIGN = 10
"""A label is of another pass where one beside the image's stamp was recorded so many times nearer."""


@dataclass(frozen=True)
class _Pass:
    """Labels in the order of their stamps: those of one pass of the drive, or all."""

    stamps: NDArray[np.int64]
    times: NDArray[np.int64]
    """Of their recording."""
    numbers: NDArray[np.int64]
    """Of their messages in the topic."""

    def nearest(self, stamp_ns: int, recorded_ns: int) -> _Found:
        """The label with the nearest stamp, of two as near the earlier; of equal stamps the one recorded nearest."""
        after = min(int(np.searchsorted(self.stamps, stamp_ns)), len(self.stamps) - 1)
        place = min(max(after - 1, 0), after, key=lambda place: abs(int(self.stamps[place]) - stamp_ns))
        first, end = np.searchsorted(self.stamps, (self.stamps[place], self.stamps[place] + 1))
        apart = np.abs(self.times[first:end] - recorded_ns)
        chosen = int(apart.argmin())
        return _Found(
            int(self.numbers[first + chosen]),
            abs(int(self.stamps[place]) - stamp_ns),
            int(apart[chosen]),
            unclear=int((apart <= _UNCLEAR * apart[chosen]).sum()) > 1,
        )


@dataclass(frozen=True)
class _Found:
    number: int
    distance_ns: int
    """Between the stamps of label and image."""
    apart_ns: int
    """Between their times of recording."""
    unclear: bool
    """Whether another one has the same stamp and was recorded about as near."""


class TruthMatcher:
    """Finds the labels of a topic by the stamps of images, whenever they were recorded.

    The stamps of all labels and images are read at once; of the labels' pictures only the last few are kept.
    """

    def __init__(self, reader: BagReader, image_topic: str, label_topic: str, tolerance_ns: int) -> None:
        self._reader = reader
        self._topic = label_topic
        self._tolerance_ns = tolerance_ns
        stamps, times = _stamps_and_times(reader, label_topic)
        self._image_passes = _pass_starts(_stamps_and_times(reader, image_topic)[0])
        self._passes = _in_passes(stamps, times)
        if len(self._image_passes) == 1 and self._passes:
            # No stamp comes again, so that the order of the labels tells nothing: several labellers may have made them.
            self._passes = [_ordered(stamps, times, np.flatnonzero(stamps))]
        self._start()
        self.nearest_ns: int | None = None
        """How far the nearest label was from an image that has none within the tolerance."""
        self.unclear = False
        """Whether the last image has several labels, and no telling which is its own."""

    def find(self, index: int, stamp_ns: int, recorded_ns: int) -> BagMessage | None:
        """The label of the image at `index` of its topic, which has this stamp; None without one.

        Where the images' stamps come more than once, as in a drive that was played again, and the labels' as often, it
        is of the same pass. Otherwise it is of the pass in which it was recorded nearest to the image, and there is
        none where that is not clear, or where it is clear that the image's own pass has none.
        """
        passes = self._passes
        if len(passes) == len(self._image_passes) > 0:
            passes = [passes[int(np.searchsorted(self._image_passes, index, "right")) - 1]]
        nearest = [one.nearest(stamp_ns, recorded_ns) for one in passes]
        within = [found for found in nearest if found.distance_ns <= self._tolerance_ns]
        self.unclear = False
        if not within:
            distances = (found.distance_ns for found in nearest)
            self.nearest_ns = min((d for d in (self.nearest_ns, *distances) if d is not None), default=None)
            return None
        best = min(within, key=lambda found: found.apart_ns)
        others = (found for found in within if found is not best)
        self.unclear = best.unclear or any(found.apart_ns <= _UNCLEAR * best.apart_ns for found in others)
        beside = (found for found in nearest if found not in within and found.distance_ns <= JUMP_NS)
        if self.unclear or any(_FOREIGN * (found.apart_ns + JUMP_NS) < best.apart_ns for found in beside):
            return None
        return self._message(best.number)

    def _start(self) -> None:
        self._ahead: Iterator[tuple[int, BagMessage]] = enumerate(self._reader.messages([self._topic]))
        self._kept: deque[tuple[int, BagMessage]] = deque()
        self._kept_bytes = 0

    def _message(self, number: int) -> BagMessage | None:
        if self._kept and number < self._kept[0][0]:  # an earlier pass is asked for again
            self._start()
        while not self._kept or self._kept[-1][0] < number:
            entry = next(self._ahead, None)
            if entry is None:
                return None
            self._kept.append(entry)
            self._kept_bytes += len(entry[1].data)
            while len(self._kept) > 1 and self._kept_bytes > _KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popleft()[1].data)
        return next(message for place, message in self._kept if place == number)


def _stamps_and_times(reader: BagReader, topic: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of all messages of the topic, 0 for an empty stamp; a topic without any stamp has the times as stamps."""
    rows = [(stamp_or_zero(recorded.data), recorded.time_ns) for recorded in reader.messages([topic])]
    stamps, times = np.array(rows, np.int64).reshape(-1, 2).T
    return (stamps if stamps.any() else times), times


def _pass_starts(stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the messages that begin a pass: the first one with a stamp, and those whose stamp jumps back."""
    starts: list[int] = []
    newest = 0
    for number, stamp in enumerate(stamps.tolist()):
        if stamp and (not starts or stamp < newest - JUMP_NS):
            starts.append(number)
            newest = stamp
        newest = max(newest, stamp)
    return np.array(starts, np.int64)


def _in_passes(stamps: NDArray[np.int64], times: NDArray[np.int64]) -> list[_Pass]:
    """Labels without a stamp are in none."""
    parts = np.split(np.arange(len(stamps)), _pass_starts(stamps))[1:]
    return [_ordered(stamps, times, numbers[stamps[numbers] != 0]) for numbers in parts]


def _ordered(stamps: NDArray[np.int64], times: NDArray[np.int64], numbers: NDArray[np.int64]) -> _Pass:
    numbers = numbers[np.argsort(stamps[numbers], kind="stable")]
    return _Pass(stamps[numbers], times[numbers], numbers)


class Truths:
    """The truth of images: their labels found, read and checked."""

    def __init__(
        self,
        reader: BagReader,
        image_topic: str,
        label_topic: str,
        key: LabelKey,
        tolerance_ns: int,
        problems: Problems,
    ) -> None:
        """`problems` takes what cannot be used of the labels."""
        self._reader = reader
        self._matcher = TruthMatcher(reader, image_topic, label_topic, tolerance_ns)
        self._key = key
        self._problems = problems

    @property
    def nearest_ns(self) -> int | None:
        """How far the nearest label was from an image that has none within the tolerance."""
        return self._matcher.nearest_ns

    def of(self, index: int, stamp_ns: int, recorded_ns: int, size: tuple[int, int]) -> NDArray[np.uint16] | None:
        """(H, W) positions of the label's classes, for the image at `index` of size (H, W); None without a label."""
        recorded = self._matcher.find(index, stamp_ns, recorded_ns)
        if self._matcher.unclear:
            self._problems.note("images with several labels of their stamp, recorded as near", f"image {index}")
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

"""The label image that belongs to an image: by header stamp, the nearest within the tolerance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_ros.bags import BagMessage, BagReader
from errseg_ros.evaluate_bag.labels import LabelKey
from errseg_ros.evaluate_bag.problems import Problems

SECOND = 1_000_000_000
"""In nanoseconds."""

DISORDER_NS = SECOND // 2  # stamps may run back by so much in the order of recording


def stamp_of(message: Any, recorded: BagMessage) -> int:
    """Header stamp in nanoseconds; the time of recording where the publisher left it empty."""
    stamp = message.header.stamp
    return stamp.sec * SECOND + stamp.nanosec or recorded.time_ns


class TruthMatcher:
    """Goes through a label topic beside the images, which may be recorded before or after them.

    Images are asked for in about the order of their stamps. Only labels around the image's stamp are kept.
    """

    def __init__(self, reader: BagReader, topic: str, tolerance_ns: int) -> None:
        self._reader = reader
        self._recorded: Iterator[BagMessage] = reader.messages([topic])
        self._tolerance_ns = tolerance_ns
        self._window: deque[tuple[int, Any]] = deque()
        self._newest_ns = -1
        self.nearest_ns: int | None = None
        """How far the nearest label was from an image that has none within the tolerance."""

    def find(self, stamp_ns: int) -> Any | None:
        """The label message of the image with this stamp, of two as near the earlier; None without one."""
        self._forget(stamp_ns)
        while self._newest_ns <= stamp_ns + self._tolerance_ns + DISORDER_NS and self._read_one():
            self._forget(stamp_ns)
        nearest = min(self._window, key=lambda label: (abs(label[0] - stamp_ns), label[0]), default=None)
        if nearest is None:
            return None
        distance = abs(nearest[0] - stamp_ns)
        if distance > self._tolerance_ns:
            self.nearest_ns = distance if self.nearest_ns is None else min(self.nearest_ns, distance)
            return None
        return nearest[1]

    def _forget(self, stamp_ns: int) -> None:
        while self._window and self._window[0][0] < stamp_ns - self._tolerance_ns - 2 * DISORDER_NS:
            self._window.popleft()

    def _read_one(self) -> bool:
        recorded = next(self._recorded, None)
        if recorded is None:
            return False
        try:
            message = self._reader.deserialize(recorded)
        except InputError:  # counts as absent
            return True
        stamp = stamp_of(message, recorded)
        self._newest_ns = max(self._newest_ns, stamp)
        self._window.append((stamp, message))
        return True


class Truths:
    """The truth of images: their labels found, read and checked."""

    def __init__(self, reader: BagReader, topic: str, key: LabelKey, tolerance_ns: int, problems: Problems) -> None:
        """`problems` takes what cannot be used of the labels."""
        self._matcher = TruthMatcher(reader, topic, tolerance_ns)
        self._key = key
        self._problems = problems

    @property
    def nearest_ns(self) -> int | None:
        """How far the nearest label was from an image that has none within the tolerance."""
        return self._matcher.nearest_ns

    def of(self, index: int, stamp_ns: int, size: tuple[int, int]) -> NDArray[np.uint16] | None:
        """(H, W) positions of the label's classes, for the image at `index` of size (H, W); None without a label."""
        message = self._matcher.find(stamp_ns)
        if message is None:
            return None
        try:
            truth = self._key.read(message)
        except InputError as error:
            self._problems.note("labels that cannot be decoded", f"that of image {index}: {error}")
            return None
        if truth.shape != size:
            sizes = "{}x{}, not {}x{}".format(*truth.shape, *size)
            self._problems.note("labels of another size than their image", f"that of image {index}, {sizes}")
            return None
        return truth

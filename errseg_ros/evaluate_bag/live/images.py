"""The images of a bag, found by the stamps that come back from the node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from errseg_model.errors import InputError
from errseg_ros.bags import BagMessage, BagReader
from errseg_ros.evaluate_bag.stamps import DriveTime, stamp_or_zero
from errseg_ros.ros_time import SECOND


@dataclass(frozen=True)
class BagImage:
    """An image message and its position among those of its topic."""

    index: int
    stamp_ns: int
    seconds: float
    """Since the bag's first image, as without the node."""
    recorded: BagMessage


class BagImages:
    """Finds a bag's images in the order in which they were recorded, going through the bag once.

    The stamps of all are read at once; of the images themselves none is kept.
    """

    def __init__(self, reader: BagReader, topic: str) -> None:
        """Raises InputError when the images have no stamps, which alone tell which mask is of which image."""
        if not reader.topics[topic].count:
            raise InputError(f"topic {topic} has no images")
        stamps = np.fromiter((stamp_or_zero(recorded.data) for recorded in reader.messages([topic])), np.int64)
        if not stamps.any():
            raise InputError(f"the images of {topic} have empty stamps: masks cannot be told which image they are of")
        order = np.argsort(stamps, kind="stable")  # of equal stamps the first recorded is first
        self._numbers = order[stamps[order] != 0]
        self._stamps = stamps[self._numbers]
        self._ahead: Iterator[tuple[int, BagMessage]] = enumerate(reader.messages([topic]))
        self._last = -1
        self._time = DriveTime()

    def has(self, stamp_ns: int) -> bool:
        """Whether any image has this stamp."""
        first, end = self._places(stamp_ns)
        return first < end

    def find(self, stamp_ns: int) -> BagImage | None:
        """The first image with this stamp after the last that was found; None when there is none.

        So a drive that the bag holds twice is found twice, however often it is played.
        """
        first, end = self._places(stamp_ns)
        later = self._numbers[first:end]
        later = later[later > self._last]
        if not later.size:
            return None
        self._last = int(later[0])
        for number, recorded in self._ahead:
            # All are asked for: how time goes on after a jump hangs on the image that jumps.
            since_ns = self._time.since_first(stamp_or_zero(recorded.data), recorded.time_ns)
            if number == self._last:
                return BagImage(number, stamp_ns, since_ns / SECOND, recorded)
        return None

    def _places(self, stamp_ns: int) -> tuple[int, int]:
        first, end = np.searchsorted(self._stamps, (stamp_ns, stamp_ns + 1))
        return int(first), int(end)

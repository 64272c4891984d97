"""The images of a bag, found by the stamps that come back from the node."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from errseg_model.errors import InputError
from errseg_ros.bags import BagMessage, BagReader
from errseg_ros.evaluate_bag.stamps import DISORDER_NS, header_stamp


@dataclass(frozen=True)
class BagImage:
    """An image message and its position among those of its topic."""

    index: int
    stamp_ns: int
    recorded: BagMessage


class BagImages:
    """Goes through a bag's images once. They are asked for in the order of their stamps; the others are passed over."""

    def __init__(self, reader: BagReader, topic: str) -> None:
        """Raises InputError when the images have no stamps, which alone tell which mask is of which image."""
        self._images = self._read(reader, topic)
        self._ahead: deque[BagImage] = deque()
        self._newest_ns = -1
        if not reader.topics[topic].count:
            raise InputError(f"topic {topic} has no images")
        if not self._read_one():
            raise InputError(f"the images of {topic} have empty stamps: masks cannot be told which image they are of")
        self.first_stamp_ns = self._ahead[0].stamp_ns
        """Of the first image that has one."""

    def find(self, stamp_ns: int) -> BagImage | None:
        """The image with this stamp; None when there is none, or when it comes before one found already."""
        place = next((image for image in self._ahead if image.stamp_ns == stamp_ns), None)
        while place is None and self._newest_ns <= stamp_ns + DISORDER_NS and self._read_one():
            if self._ahead[-1].stamp_ns == stamp_ns:
                place = self._ahead[-1]
            while self._ahead and self._ahead[0].stamp_ns < stamp_ns - 2 * DISORDER_NS:
                self._ahead.popleft()
        while place is not None and self._ahead.popleft() is not place:
            pass
        return place

    def _read_one(self) -> bool:
        image = next(self._images, None)
        if image is None:
            return False
        self._newest_ns = max(self._newest_ns, image.stamp_ns)
        self._ahead.append(image)
        return True

    @staticmethod
    def _read(reader: BagReader, topic: str) -> Iterator[BagImage]:
        """Those that have stamps."""
        for index, recorded in enumerate(reader.messages([topic])):
            stamp_ns = header_stamp(recorded.data)
            if stamp_ns:
                yield BagImage(index, stamp_ns, recorded)

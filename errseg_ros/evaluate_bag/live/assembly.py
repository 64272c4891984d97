"""What is published and what the node answers, put together by header stamp."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from errseg_ros.ros_time import SECOND

_IMAGES = 1000  # that may wait for their answer; older ones were dropped
_PARTS = 16  # answers that may wait for a part
_TRANSITS = 200  # the quickest of so many images tells how the clocks differ; clocks drift, so not of all


@dataclass(frozen=True)
class LiveAnswer:
    """Everything that the node said of one image."""

    stamp_ns: int
    latency_ms: float
    """From the image to its mask, both by the clock of this machine."""
    names: tuple[str, ...]
    """Of the vocabulary that the mask was computed under."""
    ids: tuple[int, ...]
    """Of these names."""
    mask: Any
    """sensor_msgs/Image of ids, as `confidence`."""
    confidence: Any


@dataclass
class _Parts:
    mask: Any = None
    mask_ns: int = 0
    image_ns: int | None = None
    confidence: Any = None
    names: tuple[str, ...] | None = None


class Arrivals:
    """When images would have been received here had each been as quick on its way as the quickest of late.

    On a busy machine an image may come later here than at the node, even after its mask: the publisher sends it to one
    after the other, and may lose the processor in between. When it was sent tells that, by whatever clock.
    """

    def __init__(self) -> None:
        self._transits: deque[int] = deque(maxlen=_TRANSITS)

    def of(self, sent_ns: int, received_ns: int) -> int:
        """In nanoseconds of the clock here; as it was received where the middleware does not tell when it was sent."""
        if not sent_ns:
            return received_ns
        self._transits.append(received_ns - sent_ns)
        return sent_ns + min(self._transits)


class Assembly:
    """Takes messages one by one, in any order; memory does not grow with their number."""

    def __init__(self, emit: Callable[[LiveAnswer], None]) -> None:
        """`emit` takes what is complete."""
        self._emit = emit
        self._images: OrderedDict[int, int] = OrderedDict()
        self._parts: OrderedDict[int, _Parts] = OrderedDict()
        self._ids: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._arrivals = Arrivals()
        self.published = 0
        """Images received."""
        self.answered = 0
        """Of these, those whose mask was received."""
        self.strangers = 0
        """Masks of images that were not received here."""
        self.incomplete = 0
        """Answers that lack confidence, class_scores or the label_info of their names."""
        self.untimed = 0
        """Answers that were received before their image, of which no quicker one tells when it was sent."""
        self.first_ns: int | None = None
        """When the first image was received."""
        self.last_ns: int | None = None
        self.threshold = 0.0
        """Of the last label_info."""

    def add_image(self, stamp_ns: int, sent_ns: int, received_ns: int) -> None:
        """An image was published, at `sent_ns` by its publisher's clock (0: not told).

        The same stamp again, in a loop, is another image.
        """
        received_ns = self._arrivals.of(sent_ns, received_ns)
        self.published += 1
        self.first_ns = received_ns if self.first_ns is None else self.first_ns
        self.last_ns = received_ns
        parts = self._parts.get(stamp_ns)
        if parts is not None and parts.mask is not None and parts.image_ns is None:
            self._match(parts, received_ns)
            self._check(stamp_ns)
            return
        self._images[stamp_ns] = received_ns
        self._images.move_to_end(stamp_ns)
        if len(self._images) > _IMAGES:
            self._images.popitem(last=False)

    def add_labels(self, message: Any) -> None:
        """A label_info."""
        names = tuple(str(label.class_name) for label in message.class_map)
        self._ids[names] = tuple(int(label.class_id) for label in message.class_map)
        self.threshold = float(message.threshold)
        for stamp_ns in tuple(self._parts):
            self._check(stamp_ns)

    def add_mask(self, message: Any, received_ns: int) -> None:
        """A mask."""
        stamp_ns, parts = self._at(message)
        parts.mask, parts.mask_ns = message, received_ns
        image_ns = self._images.pop(stamp_ns, None)
        if image_ns is not None:
            self._match(parts, image_ns)
        self._check(stamp_ns)

    def add_confidence(self, message: Any) -> None:
        """A confidence image."""
        stamp_ns, parts = self._at(message)
        parts.confidence = message
        self._check(stamp_ns)

    def add_scores(self, message: Any) -> None:
        """The scores of the classes, which tell their names."""
        stamp_ns, parts = self._at(message)
        parts.names = tuple(str(result.class_id) for result in message.results)
        self._check(stamp_ns)

    def finish(self) -> None:
        """No more messages: what is not complete never will be."""
        for parts in self._parts.values():
            self._give_up(parts)
        self._parts.clear()

    def _at(self, message: Any) -> tuple[int, _Parts]:
        stamp = message.header.stamp
        stamp_ns = stamp.sec * SECOND + stamp.nanosec
        if stamp_ns not in self._parts:
            self._parts[stamp_ns] = _Parts()
            if len(self._parts) > _PARTS:
                self._give_up(self._parts.popitem(last=False)[1])
        return stamp_ns, self._parts[stamp_ns]

    def _match(self, parts: _Parts, image_ns: int) -> None:
        parts.image_ns = image_ns
        self.answered += 1

    def _check(self, stamp_ns: int) -> None:
        parts = self._parts[stamp_ns]
        if parts.mask is None or parts.image_ns is None or parts.confidence is None or parts.names not in self._ids:
            return
        del self._parts[stamp_ns]
        latency_ns = parts.mask_ns - parts.image_ns
        if latency_ns < 0:
            self.untimed += 1
            return
        self._emit(
            LiveAnswer(
                stamp_ns=stamp_ns,
                latency_ms=latency_ns / 1e6,
                names=parts.names,
                ids=self._ids[parts.names],
                mask=parts.mask,
                confidence=parts.confidence,
            )
        )

    def _give_up(self, parts: _Parts) -> None:
        if parts.mask is not None and parts.image_ns is None:
            self.strangers += 1
        elif parts.mask is not None:
            self.incomplete += 1

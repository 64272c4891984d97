"""What is published and what the node answers, put together by header stamp."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from errseg_ros.answers import Answers, Parts

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
        self._answers = Answers()
        self._image_ns: dict[int, int] = {}  # by stamp, when the image of a mask came
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
        parts = self._answers.parts.get(stamp_ns)
        if parts is not None and parts.mask is not None and stamp_ns not in self._image_ns:
            self._match(parts, received_ns)
            self._check(parts)
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
        for parts in tuple(self._answers.parts.values()):
            self._check(parts)

    def add_mask(self, message: Any, received_ns: int) -> None:
        """A mask."""
        parts = self._answers.add_mask(message, received_ns)
        image_ns = self._images.pop(parts.stamp_ns, None)
        if image_ns is not None:
            self._match(parts, image_ns)
        self._check(parts)

    def add_confidence(self, message: Any) -> None:
        """A confidence image."""
        self._check(self._answers.add_confidence(message))

    def add_scores(self, message: Any) -> None:
        """The scores of the classes, which tell their names."""
        self._check(self._answers.add_scores(message))

    def finish(self) -> None:
        """No more messages: what is not complete never will be."""
        for stamp_ns in tuple(self._answers.parts):
            self._give_up(stamp_ns)

    def _match(self, parts: Parts, image_ns: int) -> None:
        self._image_ns[parts.stamp_ns] = image_ns
        self.answered += 1

    def _check(self, parts: Parts) -> None:
        """Emit what is complete; give up the oldest where too many wait."""
        if parts.stamp_ns not in self._image_ns or not parts.are_complete or parts.names not in self._ids:
            if len(self._answers.parts) > _PARTS:
                self._give_up(next(iter(self._answers.parts)))
            return
        del self._answers.parts[parts.stamp_ns]
        latency_ns = parts.mask_ns - self._image_ns.pop(parts.stamp_ns)
        if latency_ns < 0:
            self.untimed += 1
            return
        self._emit(
            LiveAnswer(
                stamp_ns=parts.stamp_ns,
                latency_ms=latency_ns / 1e6,
                names=parts.names,
                ids=self._ids[parts.names],
                mask=parts.mask,
                confidence=parts.confidence,
            )
        )

    def _give_up(self, stamp_ns: int) -> None:
        is_strange = self._image_ns.pop(stamp_ns, None) is None
        if self._answers.parts.pop(stamp_ns).mask is None:
            return
        if is_strange:
            self.strangers += 1
        else:
            self.incomplete += 1

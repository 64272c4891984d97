"""What the node answers to the images of one camera, put together by header stamp. Imports no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from errseg_ros.ros_time import stamp_ns


@dataclass
class Parts:
    """What has come of the answer to one image."""

    stamp_ns: int
    mask: Any = None
    """sensor_msgs/Image of ids."""
    mask_ns: int = 0
    """When the mask was written or received, as it was told with it."""
    confidence: Any = None
    """sensor_msgs/Image of the same size."""
    names: tuple[str, ...] | None = None
    """Of class_scores: the vocabulary that the mask was computed under."""

    @property
    def are_complete(self) -> bool:
        """Whether mask, confidence and class_scores have come."""
        return self.mask is not None and self.confidence is not None and self.names is not None


class Answers:
    """Takes messages one by one, in any order. Nothing is dropped: whoever uses it takes out of `parts`."""

    def __init__(self) -> None:
        self.parts: dict[int, Parts] = {}
        """By stamp, in the order in which the first part of each came."""

    def add_mask(self, message: Any, moment_ns: int) -> Parts:
        """A mask; returns what has come of its answer, as the other two do."""
        parts = self._at(message)
        parts.mask, parts.mask_ns = message, moment_ns
        return parts

    def add_confidence(self, message: Any) -> Parts:
        """A confidence image."""
        parts = self._at(message)
        parts.confidence = message
        return parts

    def add_scores(self, message: Any) -> Parts:
        """The scores of the classes, which tell their names."""
        parts = self._at(message)
        parts.names = tuple(str(result.class_id) for result in message.results)
        return parts

    def _at(self, message: Any) -> Parts:
        stamp = stamp_ns(message.header)
        return self.parts.setdefault(stamp, Parts(stamp))

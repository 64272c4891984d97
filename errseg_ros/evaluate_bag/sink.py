"""Where the evaluator hands on what it reads and computes, message by message: the border to the output bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from errseg_model.result import SegmentationResult
from errseg_ros.bags import BagMessage


@dataclass(frozen=True)
class ComputedFrame:
    """An image of the bag and what the model makes of it."""

    stamp_ns: int
    """Of the image's header."""
    frame_id: str
    time_ns: int
    """Of the image's recording."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    result: SegmentationResult
    """Its `vocabulary` is the one in force; a change shows there first."""


class FrameSink(Protocol):
    """Takes the messages of one bag and the results in between, in time order.

    Every message comes as it was recorded; a result comes right after its image. One of `close` and `discard` ends it.
    """

    def write_original(self, message: BagMessage) -> None:
        """A message of the bag, of any topic. Raises InputError when it cannot be written."""

    def write_result(self, frame: ComputedFrame) -> None:
        """The result for the image written last. Raises InputError when it cannot be written."""

    def close(self) -> None:
        """Finish: what was written is whole from now on. Raises InputError when it cannot be written."""

    def discard(self) -> None:
        """Leave nothing behind."""

"""What a source of images is: a sequence of frames, and how much of it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_ros.ros_time import SECOND


class SourceError(InputError):
    """A source that does not exist or cannot be read."""


@dataclass(frozen=True)
class Frame:
    """One image of a source."""

    stamp_ns: int
    """Nanoseconds since the first frame."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    labels: NDArray[np.uint8] | None = None
    """(H, W) exact ids of the source's `label_names`; other ids do not count."""


class Source(Protocol):
    """A sequence of frames that can be gone through more than once."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def stamps(self) -> tuple[int, ...]:
        """Nanoseconds since the first frame, one per frame, ascending; at least one."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels by id; empty where frames have none."""

    def frames(self) -> Iterator[Frame]:
        """Read the frames, as many as there are stamps. Raises InputError for one that cannot be read."""


@dataclass(frozen=True)
class Pace:
    """How much of a recording is shown: `rate` images a second at most, `duration` seconds at most."""

    rate: float = 10.0
    duration: float = 10.0

    def __post_init__(self) -> None:
        """Raises InputError for a pace at which no image is shown."""
        if not self.rate * self.duration >= 1:
            raise InputError(f"expected time for one image or more, got {self.duration} s at {self.rate} Hz")

    @property
    def duration_ns(self) -> int:
        """The duration in nanoseconds."""
        return round(self.duration * SECOND)

    def choose(self, stamps: Sequence[int]) -> list[int]:
        """Positions of the frames to show: those nearest to the rate's ticks, all of a slower recording.

        `stamps`: nanoseconds, ascending.
        """
        times = np.array(stamps, np.int64) - stamps[0]
        times = times[times < self.duration_ns]
        ticks = np.arange(0, times[-1] + SECOND / self.rate / 2, SECOND / self.rate)
        later = np.searchsorted(times, ticks).clip(max=len(times) - 1)
        earlier = (later - 1).clip(min=0)
        nearest = np.where(times[later] - ticks < ticks - times[earlier], later, earlier)
        return [int(position) for position in np.unique(nearest)]


def rate_of(stamps: Sequence[int]) -> float:
    """Frames a second; 0 for a single frame."""
    return (len(stamps) - 1) * SECOND / (stamps[-1] - stamps[0]) if len(stamps) > 1 else 0.0

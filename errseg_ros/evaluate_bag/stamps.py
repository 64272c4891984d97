"""Header stamps of recorded messages, read without the rest of the message."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from errseg_model.errors import InputError
from errseg_ros.bags import BagReader
from errseg_ros.ros_time import SECOND

JUMP_NS = SECOND
"""Stamps may run back by so much in the order of recording; by more, time has jumped."""

LEAP_NS = 3600 * SECOND
"""Stamps that run ahead of the recording by more at once are of another clock: one that was set, or a stray one."""

_CDR_HEADER = 4
_LITTLE_ENDIAN = 1


def header_stamp(data: bytes) -> int:
    """Stamp in nanoseconds of a serialised message that begins with a std_msgs/Header; 0 where it was left empty.

    Raises InputError for a message that is too short.
    """
    try:
        seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & _LITTLE_ENDIAN else ">iI", data, _CDR_HEADER)
    except (struct.error, IndexError):
        raise InputError(f"an image message of {len(data)} bytes has no header") from None
    return int(seconds) * SECOND + int(nanoseconds)


def stamp_or_zero(data: bytes) -> int:
    """As `header_stamp`; 0 for a message that is too short, too."""
    try:
        return header_stamp(data)
    except InputError:
        return 0


@dataclass
class DriveTime:
    """The time of images since the first one: by their stamps, and by their recording where stamps do not tell.

    Those are empty ones, and jumps: back, as of a simulator that was reset, or ahead, as of a clock that was set. From
    there on it counts anew.
    """

    first_recorded_ns: int | None = None
    """When the first image was recorded."""
    origin_ns: int | None = None
    """Stamp of an image at zero."""
    newest_ns: int = 0
    """Stamp since the last jump."""
    newest_recorded_ns: int = 0
    """When that image was recorded."""

    def since_first(self, stamp_ns: int, recorded_ns: int) -> int:
        """Nanoseconds from the first image, which is the first that is asked for; a stamp of 0 is an empty one."""
        if self.first_recorded_ns is None:
            self.first_recorded_ns = recorded_ns
        by_recording = recorded_ns - self.first_recorded_ns
        if stamp_ns == 0:
            return by_recording
        later_ns = stamp_ns - self.newest_ns
        jumps = later_ns < -JUMP_NS or later_ns - (recorded_ns - self.newest_recorded_ns) > LEAP_NS
        if self.origin_ns is None or jumps:
            self.origin_ns = stamp_ns - by_recording
        if jumps or later_ns > 0:
            self.newest_ns, self.newest_recorded_ns = stamp_ns, recorded_ns
        return stamp_ns - self.origin_ns


def is_stamped(reader: BagReader, topic: str) -> bool:
    """Whether any message of the topic has a stamp; reads on until one has."""
    return any(stamp_or_zero(recorded.data) for recorded in reader.messages([topic]))

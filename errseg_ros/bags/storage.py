"""What the files of a rosbag2 have in common, in whatever way they are read."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import parse_qos

from errseg_model.errors import InputError
from errseg_model.files import shown

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["BagError", "BagFile", "FileTopic", "is_sqlite_path", "one_line", "qos_profiles", "zstd"]


class BagError(InputError):
    """A bag, or a topic of it, that cannot be read."""


@dataclass
class FileTopic:
    """A topic in one file."""

    type: str
    definition: tuple[str, str]
    """Format, "ros2msg" or "ros2idl", and text; both empty where the file has none."""
    encoding: str
    """Of the messages: cdr, where ROS 2 wrote them."""
    qos: tuple[Qos, ...]
    count: int = 0


class BagFile(Protocol):
    """One open file."""

    topics: dict[str, FileTopic]
    start_ns: int | None
    """Time of the first message; None without any."""
    problem: str | None
    """Why it could not be read to its end; known at the latest when `messages` is through."""

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of recording in nanoseconds and bytes of the messages on `topics`, in time order."""

    def close(self) -> None:
        """Let go of the file."""


def is_sqlite_path(path: Path) -> bool:
    """Whether rosbags opens it: it builds SQLite a URI of the path.

    Some characters mean something else there, and bytes that are no UTF-8 cannot be in it.
    """
    text = str(path.absolute())
    return set("%?#").isdisjoint(text) and shown(text) == text


def qos_profiles(text: str) -> tuple[Qos, ...]:
    """Profiles as a file has them in YAML; none where they cannot be read."""
    try:
        return tuple(parse_qos(text))
    except Exception:  # of no use for reading, so nothing to fail on
        return ()


def one_line(error: Exception) -> str:
    """An error of a library, without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__

"""The files of a rosbag2, whole or cut off, read one at a time.

The library rosbags reads whole files. It refuses those that a recording left without their end, so these are read
from their start on (cut_mcap.py, cut_sqlite.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lz4.frame  # type: ignore[import-untyped]
from rosbags.rosbag2 import Reader

from errseg_ros.bags.cut_mcap import CutMcap
from errseg_ros.bags.cut_sqlite import CutSqlite
from errseg_ros.bags.storage import BagError, BagFile, FileTopic, is_sqlite_path, one_line, zstd

STORAGE_SUFFIXES = (".mcap", ".db3")
_COMPRESSED_SUFFIXES = (".zstd", ".zst", ".lz4")

_ZSTD = b"\x28\xb5\x2f\xfd"
_LZ4 = b"\x04\x22\x4d\x18"


@contextmanager
def opened(path: Path) -> Iterator[BagFile]:
    """The file, unpacked for the time being where it is compressed as a whole. Raises BagError for one of no use."""
    with _unpacked(path) as (plain, problem):
        log = path.with_name(f"{path.name}-wal")
        if os.path.isfile(log) and log.stat().st_size:
            problem = f"its last messages are in {log.name}; open it once with the program sqlite3 to merge them"
        try:
            file = _open(plain)
        except BagError as error:
            raise BagError(f"{path.name} {error}{f'; {problem}' if problem else ''}") from None
        if problem is not None:
            file.problem = problem
        try:
            yield file
        finally:
            file.close()


def unpack(data: bytes) -> bytes:
    """The bytes of a message, which rosbag2 can compress one by one. CDR starts with a zero."""
    if data[:4] == _ZSTD:
        return zstd.decompress(data)
    return bytes(lz4.frame.decompress(data)) if data[:4] == _LZ4 else data


def storage_suffix(path: Path) -> str | None:
    """`.mcap` or `.db3`, compressed or not; None for another file."""
    suffix = plain_path(path).suffix
    return suffix if suffix in STORAGE_SUFFIXES else None


def plain_path(path: Path) -> Path:
    """Of a file that is compressed as a whole the path without that suffix; else the same."""
    return path.with_suffix("") if path.suffix in _COMPRESSED_SUFFIXES else path


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Path, str | None]]:
    """A path to the plain file, and what is wrong with the compressed one."""
    try:
        with path.open("rb") as start:
            magic = start.read(4)
    except OSError as error:
        raise BagError(f"{path} cannot be read: {error.strerror or error}") from None
    if magic not in (_ZSTD, _LZ4):
        with _plainly_named(path) as plain:
            yield plain, None
        return
    with tempfile.TemporaryDirectory(prefix="errseg_bag_") as folder:
        plain = Path(folder, f"bag{storage_suffix(path) or ''}")
        problem = None
        with zstd.open(path, "rb") if magic == _ZSTD else lz4.frame.open(path, "rb") as packed, plain.open("wb") as out:
            try:
                shutil.copyfileobj(packed, out, 1 << 20)
            except (EOFError, zstd.ZstdError, RuntimeError) as error:
                problem = f"it cannot be unpacked to its end: {one_line(error)}"
            except OSError as error:
                raise BagError(f"{path} cannot be unpacked into {folder}: {error.strerror or error}") from None
        yield plain, problem


@contextmanager
def _plainly_named(path: Path) -> Iterator[Path]:
    """The file by a path that rosbags hands to SQLite as it is."""
    if storage_suffix(path) != ".db3" or is_sqlite_path(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="errseg_bag_") as folder:
        link = Path(folder, "bag.db3")
        link.symlink_to(path.absolute())
        yield link


def _open(path: Path) -> BagFile:
    try:
        return _WholeFile(path)
    except Exception as error:  # a damaged file fails anywhere in the reader
        reason = one_line(error)
    suffix = path.suffix
    cut = CutMcap(path) if suffix == ".mcap" else CutSqlite(path) if suffix == ".db3" else None
    if cut is None or not cut.topics:
        raise BagError(f"cannot be read as a file of a rosbag2: {reason}")
    if suffix == ".db3" and cut.problem is None:  # all messages are there, and something else is not
        cut.problem = reason
    return cut


class _WholeFile:
    """A file with all its parts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = Reader(path)
        self._reader.open()
        self.topics: dict[str, FileTopic] = {}
        self.problem: str | None = None
        # A damaged database may have a topic without a name.
        self._connections = [c for c in self._reader.connections if isinstance(c.topic, str)]
        for connection in self._connections:
            topic = self.topics.setdefault(connection.topic, _file_topic(connection))
            topic.count += connection.msgcount
        self.start_ns = self._reader.start_time if self._reader.message_count else None

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        connections = [connection for connection in self._connections if connection.topic in topics]
        if not connections:  # rosbags would give all of them
            return
        read = 0
        try:
            for connection, time_ns, data in self._reader.messages(connections):
                read += 1
                yield connection.topic, time_ns, data
            promised = any(c.msgcount for c in connections) or not self._reader.message_count
            if not read and promised and self._path.suffix == ".mcap":  # without message indexes rosbags finds none
                cut = CutMcap(self._path)
                yield from cut.messages(topics)
                self.problem = cut.problem
        except Exception as error:  # as above
            self.problem = one_line(error)

    def close(self) -> None:
        self._reader.close()


def _file_topic(connection: Any) -> FileTopic:
    kinds = {"MSG": "ros2msg", "IDL": "ros2idl"}
    return FileTopic(
        type=connection.msgtype,
        definition=(kinds.get(connection.msgdef.format.name, ""), connection.msgdef.data),
        encoding=connection.ext.serialization_format,
        qos=tuple(connection.ext.offered_qos_profiles),
    )

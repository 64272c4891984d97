"""The files of a rosbag2, whole or cut off, read one at a time.

The library rosbags reads whole files. It refuses those that a recording left without their end, so these are read
from their start on, record by record or row by row, until they fail.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Header, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from rosbags.interfaces import Qos
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import parse_qos

from errseg_model.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STORAGE_SUFFIXES = (".mcap", ".db3")
COMPRESSED_SUFFIXES = (".zstd", ".zst", ".lz4")

_ZSTD = b"\x28\xb5\x2f\xfd"
_LZ4 = b"\x04\x22\x4d\x18"


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


@contextmanager
def opened(path: Path) -> Iterator[BagFile]:
    """The file, unpacked for the time being where it is compressed as a whole. Raises BagError for one of no use."""
    with _unpacked(path) as (plain, problem):
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and log.stat().st_size:
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
    name = Path(path.stem) if path.suffix in COMPRESSED_SUFFIXES else path
    return name.suffix if name.suffix in STORAGE_SUFFIXES else None


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Path, str | None]]:
    """A path to the plain file, and what is wrong with the compressed one."""
    try:
        with path.open("rb") as start:
            magic = start.read(4)
    except OSError as error:
        raise BagError(f"{path} cannot be read: {error.strerror or error}") from None
    if magic not in (_ZSTD, _LZ4):
        yield path, None
        return
    with tempfile.TemporaryDirectory(prefix="errseg_bag_") as folder:
        plain = Path(folder, f"{path.name.partition('.')[0]}{storage_suffix(path) or ''}")
        problem = None
        with zstd.open(path, "rb") if magic == _ZSTD else lz4.frame.open(path, "rb") as packed, plain.open("wb") as out:
            try:
                shutil.copyfileobj(packed, out, 1 << 20)
            except (EOFError, zstd.ZstdError, RuntimeError) as error:
                problem = f"it cannot be unpacked to its end: {_one_line(error)}"
            except OSError as error:
                raise BagError(f"{path} cannot be unpacked into {folder}: {error.strerror or error}") from None
        yield plain, problem


def _open(path: Path) -> BagFile:
    try:
        return _WholeFile(path)
    except Exception as error:  # a damaged file fails anywhere in the reader
        reason = _one_line(error)
    suffix = path.suffix
    cut = _CutMcap(path) if suffix == ".mcap" else _CutSqlite(path) if suffix == ".db3" else None
    if cut is None or not cut.topics:
        raise BagError(f"cannot be read as a file of a rosbag2: {reason}")
    if suffix == ".db3" and cut.problem is None:  # all messages are there, and something else is not
        cut.problem = reason
    return cut


class _WholeFile:
    """A file with all its parts."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._reader.open()
        self.topics: dict[str, FileTopic] = {}
        self.problem: str | None = None
        for connection in self._reader.connections:
            topic = self.topics.setdefault(connection.topic, _file_topic(connection))
            topic.count += connection.msgcount
        self.start_ns = self._reader.start_time if self._reader.message_count else None

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:  # rosbags would give all of them
            return
        try:
            for connection, time_ns, data in self._reader.messages(connections):
                yield connection.topic, time_ns, data
        except Exception as error:  # as above
            self.problem = _one_line(error)

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


class _CutMcap:
    """An mcap file without its end, or one that rosbags does not take: its chunks in their order in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.topics: dict[str, FileTopic] = {}
        self.problem: str | None = None
        self.start_ns: int | None = None
        for topic, time_ns, _ in self._read():
            self.topics[topic].count += 1
            self.start_ns = time_ns if self.start_ns is None else min(self.start_ns, time_ns)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        return ((topic, time_ns, data) for topic, time_ns, data in self._read() if topic in topics)

    def close(self) -> None:
        """Nothing is held between two readings."""

    def _read(self) -> Iterator[tuple[str, int, bytes]]:
        schemas: dict[int, Schema] = {}
        names: dict[int, str] = {}
        with self._path.open("rb") as file:
            for records in _mcap_records(file, self._path.stat().st_size, self):
                messages = []
                for record in records:
                    if isinstance(record, Schema):
                        schemas[record.id] = record
                    elif isinstance(record, Channel):
                        names[record.id] = record.topic
                        self.topics.setdefault(record.topic, _channel_topic(record, schemas.get(record.schema_id)))
                    elif isinstance(record, Message) and record.channel_id in names:
                        messages.append((names[record.channel_id], record.log_time, record.data))
                yield from sorted(messages, key=lambda message: message[1])


def _mcap_records(file: IO[bytes], size: int, owner: _CutMcap) -> Iterator[list[McapRecord]]:
    """The records of one chunk after another, or single ones outside; tells the owner what ends them early."""
    whole = 0
    try:
        for record in StreamReader(file, emit_chunks=True, record_size_limit=size).records:
            if isinstance(record, Header) and record.profile not in ("ros2", ""):
                owner.problem = f"its profile is {record.profile[:40]!r}, not ros2"
                return
            yield breakup_chunk(_plain(record), validate_crc=True) if isinstance(record, Chunk) else [record]
            whole = file.tell()
    except Exception:  # a damaged file fails anywhere in the reader
        owner.problem = f"it breaks off after {whole} of {size} bytes"
        file.seek(whole)
        yield _records_of_cut_chunk(file)


def _records_of_cut_chunk(file: IO[bytes]) -> list[McapRecord]:
    """The whole records of a chunk whose end is missing; none where the file holds something else."""
    records: list[McapRecord] = []
    try:
        operation, _, _, _, _, _, length = struct.unpack("<BQQQQII", file.read(41))
        compression = file.read(length).decode() if operation == Opcode.CHUNK and length < 16 else "unknown"
        file.read(8)
        decompressors = {"": None, "zstd": zstd.ZstdDecompressor(), "lz4": lz4.frame.LZ4FrameDecompressor()}
        decompressor = decompressors[compression]
        data = file.read() if decompressor is None else decompressor.decompress(file.read())
        records.extend(StreamReader(BytesIO(data), skip_magic=True, record_size_limit=len(data)).records)
    except Exception:  # its end, or no chunk at all
        pass
    return records


def _plain(chunk: Chunk) -> Chunk:
    # The library mcap wants another package for zstd than the one that rosbags brings.
    if chunk.compression == "":
        return chunk
    data = zstd.decompress(chunk.data) if chunk.compression == "zstd" else lz4.frame.decompress(chunk.data)
    return Chunk(
        "", data, chunk.message_end_time, chunk.message_start_time, chunk.uncompressed_crc, chunk.uncompressed_size
    )


def _channel_topic(channel: Channel, schema: Schema | None) -> FileTopic:
    text = channel.metadata.get("offered_qos_profiles", "")
    return FileTopic(
        type=schema.name if schema else "",
        definition=(schema.encoding, schema.data.decode("utf-8", "replace")) if schema else ("", ""),
        encoding=channel.message_encoding,
        qos=_qos(text),
    )


def _qos(text: str) -> tuple[Qos, ...]:
    try:
        return tuple(parse_qos(text))
    except Exception:  # of no use for reading, so nothing to fail on
        return ()


@dataclass
class _CutSqlite:
    """A database without its end: rows in the order in which they were written."""

    _path: Path
    topics: dict[str, FileTopic] = field(default_factory=dict)
    start_ns: int | None = None
    problem: str | None = None

    def __post_init__(self) -> None:
        with closing(self._connect()) as database:
            try:
                self._read_topics(database)
            except sqlite3.Error as error:
                self.problem = _one_line(error)
        for topic, time_ns, _ in self.messages(self.topics):
            self.topics[topic].count += 1
            self.start_ns = time_ns if self.start_ns is None else min(self.start_ns, time_ns)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        read = 0
        with closing(self._connect()) as database:
            try:
                names = dict(database.execute("SELECT id, name FROM topics"))
                # Without ORDER BY: the index may be what is missing.
                rows = database.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED")
                for topic_id, time_ns, data in rows:
                    read += 1
                    if names.get(topic_id) in topics:
                        yield names[topic_id], time_ns, data
            except sqlite3.Error as error:
                self.problem = f"it breaks off after {read} messages ({_one_line(error)})"

    def close(self) -> None:
        """Nothing is held between two readings."""

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(f"{self._path.absolute().as_uri()}?immutable=1", uri=True)
        # Otherwise SQLite refuses a file that is shorter than its header says.
        database.execute("PRAGMA writable_schema = ON")
        return database

    def _read_topics(self, database: sqlite3.Connection) -> None:
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        qos = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        for name, kind, encoding, profiles in database.execute(
            f"SELECT name, type, serialization_format, {qos} FROM topics"
        ):
            self.topics[name] = FileTopic(kind, ("", ""), encoding, _qos(profiles))
        definitions = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        if any(database.execute("PRAGMA table_info(message_definitions)")):
            for kind, encoding, text in database.execute(definitions):
                for topic in self.topics.values():
                    if topic.type == kind:
                        topic.definition = (encoding, text)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

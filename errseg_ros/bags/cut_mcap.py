"""Mcap files that a recording left without their end, read record by record until they fail."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

import lz4.frame  # type: ignore[import-untyped]
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Header, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from errseg_ros.bags.storage import FileTopic, qos_profiles, zstd


class CutMcap:
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


def _mcap_records(file: IO[bytes], size: int, owner: CutMcap) -> Iterator[list[McapRecord]]:
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
        owner.problem = f"it breaks off in the record after byte {whole} of {size}"
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
        qos=qos_profiles(text),
    )

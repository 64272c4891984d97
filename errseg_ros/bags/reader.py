"""`BagReader`: the messages of a rosbag2, read without ROS.

sqlite3 and mcap, one file or several, whole files or single messages compressed with zstd or lz4. Of a damaged bag it
gives what can be read, and names the rest.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import yaml
from rosbags.interfaces import Qos
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from errseg_model.files import shown
from errseg_ros.bags.files import opened, plain_path, storage_suffix, unpack
from errseg_ros.bags.storage import BagError, FileTopic
from errseg_ros.bags.typestore import make_typestore

_IDL_SEPARATOR = "=" * 80 + "\n"


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag."""

    name: str
    type: str
    """Such as sensor_msgs/msg/Image."""
    count: int
    """Of its messages, as the bag's metadata says, or else as its files do."""
    qos: tuple[Qos, ...]
    """What its publishers offered; empty where the bag does not tell."""


@dataclass(frozen=True)
class BagMessage:
    """A message as it was recorded."""

    topic: str
    type: str
    time_ns: int
    """Of its recording."""
    data: bytes
    """CDR."""


def is_bag(path: Path) -> bool:
    """Whether it is a file of a rosbag2 or a folder that has metadata.yaml or such a file, by their names."""
    if os.path.isdir(path):
        return any(entry.name == "metadata.yaml" or storage_suffix(entry) for entry in path.iterdir())
    return storage_suffix(path) is not None


class BagReader:
    """One rosbag2, open from `with` to its end. Memory does not grow with its length.

    Files are gone through one after the other, so messages come in time order as long as files follow each other in
    time, as rosbag2 writes them. Of a damaged file those before the damage are given, in the order of the file.
    """

    def __init__(self, path: str | Path) -> None:
        """`path`: the bag's folder, or its one .mcap or .db3 file. Raises BagError for another."""
        self.path = Path(path)
        self.name = _name(self.path)
        """Of its folder, or of its file without the suffixes of rosbag2."""
        self._problems: list[str] = []
        self._metadata: dict[str, Any] = {}
        self._files = self._find_files()
        self._definitions: dict[str, FileTopic] = {}
        self._stores: dict[str, Typestore] = {}
        self.start_ns: int | None = None
        """Time of the first message; None for a bag without any."""
        self.topics: Mapping[str, BagTopic] = MappingProxyType({})
        """By name, in the order of the names."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What cannot be read, one line each; complete once `messages` has been gone through."""
        return tuple(self._problems)

    def __enter__(self) -> BagReader:
        """Look at every file. Raises BagError when none can be read."""
        topics: dict[str, BagTopic] = {}
        starts = []
        failures = []
        taken: dict[Path, Path] = {}
        for path in tuple(self._files):
            # A recording or a player that was ended while it packed or unpacked a file leaves both.
            if (copy := taken.get(plain_path(path))) is not None:
                self._files.remove(path)
                self._problems.append(f"{path.name} is left out: it is a copy of {copy.name}")
                continue
            try:
                with opened(path) as file:
                    starts += [] if file.start_ns is None else [file.start_ns]
                    for name, topic in file.topics.items():
                        known = topics.get(name, BagTopic(name, topic.type, 0, topic.qos))
                        topics[name] = replace(known, count=known.count + topic.count)
                        if not self._definitions.setdefault(name, topic).definition[0]:
                            self._definitions[name] = topic
                    self._note(path, file.problem)
                taken[plain_path(path)] = path
            except BagError as error:
                self._files.remove(path)
                failures.append(str(error))
        if not self._files:
            raise BagError(f"bag {self.path} cannot be read: {'; '.join((*failures, *self._problems))}")
        self._problems += failures
        counts = self._promised_counts()
        self.topics = MappingProxyType(
            {name: replace(topics[name], count=max(counts.get(name, 0), topics[name].count)) for name in sorted(topics)}
        )
        self.start_ns = min(starts, default=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Files are open only while `messages` is gone through."""

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """The messages on `topics` (None: on all), in time order. Raises BagError for a topic that is not there."""
        wanted = set(self.topics if topics is None else topics)
        if absent := sorted(wanted - self.topics.keys()):
            raise BagError(f"bag {self.path} has no topic {absent[0]}; it has {', '.join(self.topics) or 'none'}")
        return self._messages(wanted)

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object with ROS's fields.

        Raises BagError naming topic and type: a type that neither we nor the bag know, or bytes that are no such
        message.
        """
        store = self._stores.get(message.topic)
        if store is None:
            store = self._stores[message.topic] = self._make_store(message)
        try:
            return store.deserialize_cdr(message.data, message.type)
        except Exception as error:  # generated code fails as it likes on bytes that are something else
            reason = " ".join(str(error).split())
            raise BagError(f"a message on {message.topic} is no {message.type}: {reason}") from None

    def definition(self, topic: str) -> tuple[str, str]:
        """Definition and hash (RIHS01) of a topic's message type, as another bag needs them.

        What the bag has goes before what we know; without either there is no definition, and no hash.
        """
        kind, text = self._definitions[topic].definition
        message = BagMessage(topic, self.topics[topic].type, 0, b"")
        try:
            store = self._make_store(message)
            if kind == "" or (kind == "ros2idl" and not text.startswith(f"{_IDL_SEPARATOR}IDL: ")):
                text = store.generate_msgdef(message.type, ros_version=2)[0]
            return text, store.hash_rihs01(message.type)
        except BagError:
            return text, ""

    def _messages(self, wanted: set[str]) -> Iterator[BagMessage]:
        for path in self._files:
            with opened(path) as file:
                types = {name: topic.type for name, topic in file.topics.items()}
                for topic, time_ns, data in file.messages(wanted):
                    try:
                        content = unpack(data)
                    except Exception as error:  # of two libraries
                        self._note(path, f"a message on {topic} cannot be unpacked: {error}")
                        continue
                    yield BagMessage(topic, types[topic], time_ns, content)
                self._note(path, file.problem)

    def _note(self, path: Path, problem: str | None) -> None:
        line = f"{path.name} is damaged: {problem}"
        if problem is not None and line not in self._problems:
            self._problems.append(line)

    def _find_files(self) -> list[Path]:
        try:
            mode = self.path.stat().st_mode
            if stat.S_ISREG(mode) and storage_suffix(self.path) is not None:
                return [self.path]
            if not stat.S_ISDIR(mode):
                raise BagError(f"{self.path} is no rosbag2: expected its folder, or an .mcap or .db3 file")
            there = sorted((p for p in self.path.iterdir() if storage_suffix(p)), key=_natural_order)
        except FileNotFoundError:
            raise BagError(f"bag {self.path} does not exist") from None
        except OSError as error:
            raise BagError(f"bag {self.path} cannot be read: {error.strerror or error}") from None
        self._metadata = self._read_metadata()
        names = [Path(name).name for name in self._metadata.get("relative_file_paths", ())]
        if not names and not there:
            raise BagError(f"{self.path} is no rosbag2: the folder has neither metadata.yaml nor .mcap or .db3 files")
        if not names:
            return there
        for name in names:
            if not os.path.isfile(self.path / name):
                self._problems.append(f"{name} is missing{self._promised_messages(name)}")
        return [self.path / name for name in names if os.path.isfile(self.path / name)]

    def _read_metadata(self) -> dict[str, Any]:
        path = self.path / "metadata.yaml"
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            found = content["rosbag2_bagfile_information"]
            names = found["relative_file_paths"]
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise TypeError
        except FileNotFoundError:
            self._problems.append("metadata.yaml is missing, as a recording that did not end leaves it")
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
            self._problems.append("metadata.yaml cannot be read; the files are taken as they are")
        else:
            return dict(found)
        return {}

    def _promised_messages(self, name: str) -> str:
        try:
            counts = [entry["message_count"] for entry in self._metadata["files"] if Path(entry["path"]).name == name]
        except (KeyError, TypeError):
            return ""
        return f", with {counts[0]} messages" if counts else ""

    def _promised_counts(self) -> dict[str, int]:
        """Messages by topic, as metadata.yaml has them."""
        try:
            topics = self._metadata.get("topics_with_message_count", ())
            return {entry["topic_metadata"]["name"]: int(entry["message_count"]) for entry in topics}
        except (KeyError, TypeError, ValueError):
            return {}

    def _make_store(self, message: BagMessage) -> Typestore:
        """A bag's own definition of a type goes before ours."""
        topic = self._definitions[message.topic]
        if topic.encoding != "cdr":
            raise BagError(f"topic {message.topic} ({message.type}) is encoded as {topic.encoding[:40]!r}, not as cdr")
        known = make_typestore()
        kind, text = topic.definition
        if kind == "":
            if message.type in known.types:
                return known
            raise BagError(
                f"topic {message.topic} has the message type {message.type}, which is not known and which the bag "
                "does not define: record it with a newer rosbag2 (mcap), which puts definitions into the bag"
            )
        try:
            types = get_types_from_msg(text, message.type) if kind == "ros2msg" else _types_from_idl(text)
            store = get_typestore(Stores.EMPTY)
            store.register({**{name: known.fielddefs[name] for name in _ALWAYS if name not in types}, **types})
            store.get_msgdef(message.type)
        except Exception as error:  # definitions are parsed, and turned into code
            reason = " ".join(str(error).split())
            raise BagError(
                f"topic {message.topic}: the bag's definition of {message.type} cannot be used: {reason}"
            ) from None
        return store


_ALWAYS = ("builtin_interfaces/msg/Time", "builtin_interfaces/msg/Duration", "std_msgs/msg/Header")


def _name(path: Path) -> str:
    full = Path(os.path.abspath(path))  # the folder here is called `.`
    if os.path.isdir(full):
        return shown(full.name)
    return shown(plain_path(full).stem)


def _types_from_idl(text: str) -> dict[str, Any]:
    types: dict[str, Any] = {}
    parts = text.split(_IDL_SEPARATOR)[1:] if text.startswith(f"{_IDL_SEPARATOR}IDL: ") else [f"\n{text}"]
    for part in parts:
        types.update(get_types_from_idl(part.partition("\n")[2]))
    return types


def _natural_order(path: Path) -> list[Any]:
    """drive_2.db3 before drive_10.db3."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

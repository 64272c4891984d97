"""Databases that a recording left without their end, read row by row until they fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from errseg_ros.bags.storage import FileTopic, one_line, qos_profiles


@dataclass
class CutSqlite:
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
                self.problem = one_line(error)
        for topic, time_ns, _ in self.messages(self.topics):
            self.topics[topic].count += 1
            self.start_ns = time_ns if self.start_ns is None else min(self.start_ns, time_ns)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        read = 0
        with closing(self._connect()) as database:
            try:
                names: dict[int, str] = dict(database.execute("SELECT id, name FROM topics"))
                # Without ORDER BY: the index may be what is missing.
                rows = database.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED")
                for topic_id, time_ns, data in rows:
                    read += 1
                    name = names.get(topic_id)
                    if name is None or name not in topics:
                        continue
                    if isinstance(time_ns, int) and isinstance(data, bytes):  # else of a damaged page
                        yield name, time_ns, data
            except sqlite3.Error as error:
                self.problem = f"it breaks off after {read} messages ({one_line(error)})"

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
            if not all(isinstance(text, str) for text in (name, kind, encoding)):
                continue  # of a damaged page
            self.topics[name] = FileTopic(kind, ("", ""), encoding, qos_profiles(profiles))
        definitions = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        if any(database.execute("PRAGMA table_info(message_definitions)")):
            for kind, encoding, text in database.execute(definitions):
                for topic in self.topics.values():
                    if topic.type == kind and isinstance(encoding, str) and isinstance(text, str):
                        topic.definition = (encoding, text)

"""New rosbag2s that are whole or absent."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from errseg_model.errors import InputError
from errseg_ros.bags.storage import is_sqlite_path

_CANNOT_WRITE = (OSError, sqlite3.Error)
"""What the writer raises, as on a full disk."""

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


class NewBag:
    """A bag (a folder) that takes its name only when it is whole.

    A `with` block closes it at its end, and discards it when it fails; where that is because it cannot be written, it
    raises InputError.
    """

    def __init__(self, path: Path, storage: str = "mcap", compressed: bool = False) -> None:
        """Start to write; `storage` is "mcap" or "sqlite3", `compressed` packs the chunks of mcap with zstd.

        Raises InputError if the path exists, if the folder that is to hold it does not or cannot be written, for an
        unknown storage, or for a path that sqlite3 reads otherwise.
        """
        if storage not in STORAGES:
            raise InputError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r}")
        self._path = path = path.absolute()
        check_free(path)
        if storage == "sqlite3" and not is_sqlite_path(path):
            raise InputError(
                f"{path} has %, ?, # or bytes that are no UTF-8 in it, which sqlite3 cannot have: choose another, or "
                "use mcap"
            )
        if not os.path.isdir(path.parent):
            raise InputError(f"{path.parent} is not a folder: create it first")
        try:
            # The files of a bag carry its name, so it is written under that name, in a folder beside.
            self._workshop = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise self._failure(error) from None
        try:
            self.writer = Writer(self._workshop / path.name, version=9, storage_plugin=STORAGES[storage])
            if compressed:
                self.writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self.writer.open()
        except BaseException as error:
            shutil.rmtree(self._workshop, ignore_errors=True)
            if isinstance(error, _CANNOT_WRITE):
                raise self._failure(error) from None
            raise

    def write(self, connection: Connection, time_ns: int, data: bytes | memoryview) -> None:
        """A message. Raises InputError."""
        try:
            self.writer.write(connection, time_ns, data)
        except _CANNOT_WRITE as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Finish it and give it its name. Raises InputError; then nothing is left behind."""
        try:
            self.writer.close()
            check_free(self._path)
            os.rename(self._workshop / self._path.name, self._path)
        except _CANNOT_WRITE as error:
            raise self._failure(error) from None
        finally:
            shutil.rmtree(self._workshop, ignore_errors=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        try:
            self.writer.abort()
        except _CANNOT_WRITE:  # a full disk
            pass
        finally:
            shutil.rmtree(self._workshop, ignore_errors=True)

    def __enter__(self) -> Writer:
        return self.writer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
            if isinstance(error, _CANNOT_WRITE):
                raise self._failure(error) from None

    def _failure(self, error: BaseException) -> InputError:
        return InputError(f"bag {self._path} cannot be written: {getattr(error, 'strerror', None) or error}")


def check_free(path: Path) -> None:
    """Raises InputError where there is something already."""
    if os.path.lexists(path):
        raise InputError(f"{path} exists already: remove it or choose another name")


def offered_qos(depth: int = 10, latched: bool = False) -> Qos:
    """Reliable; a latched topic gives its last messages to whoever subscribes later."""
    never = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )

"""Reads messages on a thread of its own, so that a slow disk does not make them late."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

BYTES = 64 * 2**20
"""Of messages that wait at most, or one larger message: 0.8 s of 720p images at 30 Hz."""


class Message(Protocol):
    """A message of a bag."""

    @property
    def topic(self) -> str:
        """Its topic in the bag."""

    @property
    def time_ns(self) -> int:
        """When it was recorded."""

    @property
    def data(self) -> bytes:
        """Serialised, as it was recorded."""


class ReadAhead:
    """Messages in their order, read before they are asked for. Use it in a `with` block, which ends the reading."""

    def __init__(self, messages: Iterable[Message], limit: int = BYTES) -> None:
        """`messages` is gone through once, on the thread; at most `limit` bytes wait."""
        self._limit = limit
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._error: BaseException | None = None
        self._ended = False
        self._full = False
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(iter(messages),), name="read ahead", daemon=True)

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def fill(self) -> None:
        """Wait until as much is read as may wait, or all."""
        with self._changed:
            self._changed.wait_for(lambda: self._full or self._ended)

    def next(self, timeout: float | None = None) -> Message | None:
        """The next message, None after the last.

        Raises what the reading raised, at its place among the messages, and TimeoutError when none has been read
        within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._ended, timeout):
                raise TimeoutError
            if self._waiting:
                message = self._waiting.popleft()
                self._bytes -= len(message.data)
                self._changed.notify_all()
                return message
            if self._error is not None:
                raise self._error
            return None

    def _read(self, messages: Iterator[Message]) -> None:
        try:
            for message in messages:
                if not self._put(message):
                    break
        except BaseException as error:  # raised where the messages are used
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, message: Message) -> bool:
        """Whether to go on."""
        size = len(message.data)
        with self._changed:
            if self._bytes + size > self._limit:
                self._full = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or not self._bytes or self._bytes + size <= self._limit)
            self._waiting.append(message)
            self._bytes += size
            self._changed.notify_all()
            return not self._stopped

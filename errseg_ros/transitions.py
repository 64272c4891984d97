"""The node's changes of state, and their end.

rclpy's state machine takes no care of itself: a transition that goes on after `destroy_node` crashes the process. So
none may be under way then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.callback_groups import CallbackGroup

AFTER_SECONDS = 0.1
"""For a transition that just passed its checkpoint: all that it still does is to tell its new state."""


class Transitions(CallbackGroup):
    """Callback group of the services of a managed node, which use the state machine: any number at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False
        self._running = 0
        self._changed = threading.Condition()
        self._checkpoint = threading.Lock()

    def can_execute(self, entity: Any) -> bool:
        """For the executor: none from `close` on."""
        return not self._closed

    def beginning_execution(self, entity: Any) -> bool:
        """For the executor."""
        with self._changed:
            if self._closed:
                return False
            self._running += 1
            return True

    def ending_execution(self, entity: Any) -> None:
        """For the executor."""
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    @contextmanager
    def running(self) -> Iterator[bool]:
        """Around a transition that no service asked for. Gives False, to leave it, from `close` on."""
        begun = self.beginning_execution(None)
        try:
            yield begun
        finally:
            if begun:
                self.ending_execution(None)

    def pass_checkpoint(self) -> None:
        """Between the work of a transition and its end. Does not return when `close` waited in vain for the work."""
        with self._checkpoint:
            pass

    def close(self, timeout: float) -> bool:
        """Let no transition begin, and wait for the end of those that run.

        Returns whether they ended within `timeout` seconds. Those that did not will not get past their checkpoint.
        """
        with self._changed:
            self._closed = True
        if self._wait(timeout):
            return True
        self._checkpoint.acquire()
        return self._wait(AFTER_SECONDS)

    def _wait(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, timeout)

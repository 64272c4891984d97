"""The thread that images are computed on, and which image is next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any


class Worker:
    """Computes the newest image of each camera, one after the other, on a thread of its own.

    Each camera has one place: an image that comes while another waits there takes it over. The camera that
    waits longest is next; a newer image does not send its camera back in the queue, so that none starves.
    """

    def __init__(
        self,
        on_image: Callable[[str, Any], None],
        on_notice: Callable[[], object],
        on_error: Callable[[str | None, Exception], None],
    ) -> None:
        """
        Args:
            on_image: computes the message of a camera.
            on_notice: called between two images after `notify`.
            on_error: told of an exception of the two others (None: `on_notice`); the next image goes on.
        """
        self._on_image = on_image
        self._on_notice = on_notice
        self._on_error = on_error
        # A dict keeps a key's place when its value is replaced: first in, longest waiting.
        self._waiting: dict[str, Any] = {}
        self._notified = False
        self._paused = False
        self._computing = False
        self._stopping = False
        self._changed = threading.Condition()
        # A daemon: an image that takes seconds does not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="errseg worker", daemon=True)

    def start(self) -> None:
        """Start computing."""
        self._thread.start()

    def pause(self) -> None:
        """Drop what waits and take no image until `resume`. Returns when the one in work has ended."""
        with self._changed:
            self._paused = True
            self._waiting.clear()
            self._changed.wait_for(lambda: not self._computing or self._stopping)

    def resume(self) -> None:
        """Take images again."""
        with self._changed:
            self._paused = False

    def submit(self, camera: str, message: Any) -> bool:
        """Put a camera's newest image in its place. Returns at once, and whether an older one had to go."""
        with self._changed:
            if self._paused:
                return False
            replaced = camera in self._waiting
            self._waiting[camera] = message
            self._changed.notify_all()
            return replaced

    def notify(self) -> None:
        """Have `on_notice` called: at once, or after the image that is being computed. Returns at once."""
        with self._changed:
            self._notified = True
            self._changed.notify_all()

    def stop(self, timeout: float) -> bool:
        """Compute no further image. Returns whether the thread ended within `timeout` seconds."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._notified or self._waiting)
                if self._stopping:
                    return
                notified, self._notified = self._notified, False
                camera = next(iter(self._waiting), None)
                message = None if camera is None else self._waiting.pop(camera)
                self._computing = camera is not None
            if notified:
                self._guarded(None, self._on_notice)
            if camera is not None:
                self._guarded(camera, partial(self._on_image, camera, message))
            message = None  # not to hold an image while waiting for the next
            with self._changed:
                self._computing = False
                self._changed.notify_all()

    def _guarded(self, camera: str | None, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # out of memory, a broken image: the next image may do
            if not self._stopping:  # while stopping, nothing that fails is news
                self._on_error(camera, error)

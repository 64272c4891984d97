"""The thread that images are computed on, and which image is next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any


class Worker:
    """Computes the newest image of each camera on a thread of its own, as many at a time as `batch` says.

    Each camera has one place: an image that comes while another waits there takes it over. The cameras that
    wait longest are next; a newer image does not send its camera back in the queue, so that none starves.
    """

    def __init__(
        self,
        on_images: Callable[[Sequence[tuple[str, Any]]], None],
        on_notice: Callable[[], object],
        on_error: Callable[[Sequence[str], Exception], None],
        batch: int = 1,
    ) -> None:
        """
        Args:
            on_images: computes (camera, message) of one camera or of several, the longest waiting first.
            on_notice: called between two calls of `on_images` after `notify`.
            on_error: told of an exception of the two others, with the cameras whose images are lost by it; the
                next images go on.
            batch: images that are computed together at most.
        """
        self.batch = batch
        """May be changed on the worker's thread."""
        self._on_images = on_images
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

    def report(self, cameras: Sequence[str], error: Exception) -> None:
        """Tell `on_error`. While the worker stops, nothing that fails is news."""
        if not self._stopping:
            self._on_error(cameras, error)

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
                cameras = tuple(islice(self._waiting, self.batch))
                images = [(camera, self._waiting.pop(camera)) for camera in cameras]
                self._computing = bool(images)
            if notified:
                self._guarded((), self._on_notice)
            if images:
                self._guarded(cameras, partial(self._on_images, images))
            del images  # not to hold them while waiting for the next
            with self._changed:
                self._computing = False
                self._changed.notify_all()

    def _guarded(self, cameras: Sequence[str], work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # the next images may do
            self.report(cameras, error)

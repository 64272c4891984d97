"""The real node's process with clocks in it: one line of JSON in its log for every image it answers.

Run as a module in place of `errseg_ros.node`. Between the places that are looked at nothing is changed; a line is
written after the image's last output is published.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.publisher import Publisher

from errseg_model import Segmenter
from errseg_ros import publishers
from errseg_ros.diagnostics import CameraMonitor
from errseg_ros.node import main
from errseg_ros.pipeline import Pipeline, Received

_LINE = "timed "
_KEPT = 256  # images that came last; the one to be taken is among them

Marks = dict[str, float]
"""When an image was where, in seconds."""


def read_marks(log: Path) -> list[Marks]:
    """Of every image that the node has answered; a line that it is still writing comes the next time."""
    *lines, _ = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return [json.loads(line.removeprefix(_LINE)) for line in lines if line.startswith(_LINE)]


class _Probe:
    """Collects the marks of the image in work; the callbacks' are kept by stamp until their image is taken."""

    def __init__(self) -> None:
        self._received: dict[tuple[int, int], Marks] = {}
        self._marks: Marks = {}

    def install(self) -> None:
        """Put clocks into the classes of the node."""
        self._wrap(Pipeline, "receive", before=self._receive)
        self._wrap(Pipeline, "decode", before=self._take, after=self._mark("decoded"))
        self._wrap(Segmenter, "segment", before=self._mark("model starts"), after=self._mark("model ends"))
        self._wrap(publishers, "mask_message", before=self._mark("mask starts"), after=self._mark("mask made"))
        self._wrap(publishers, "score_message", after=self._mark("confidence made"))
        self._wrap(Publisher, "publish", after=self._published)
        self._wrap(CameraMonitor, "answer", before=self._write)

    @staticmethod
    def _wrap(
        owner: Any, name: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
    ) -> None:
        function = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            if before is not None:
                before(*arguments)
            result = function(*arguments, **options)
            if after is not None:
                after(*arguments)
            return result

        setattr(owner, name, wrapped)

    def _mark(self, name: str) -> Callable[..., None]:
        def mark(*_: Any) -> None:
            self._marks[name] = time.perf_counter()

        return mark

    def _receive(self, pipeline: Pipeline, camera: str, monitor: CameraMonitor, message: Any) -> None:
        stamp = message.header.stamp
        travelled = time.time() - (stamp.sec + stamp.nanosec / 1e9)
        if len(self._received) >= _KEPT:
            del self._received[next(iter(self._received))]
        self._received[stamp.sec, stamp.nanosec] = {"travelled": travelled, "received": time.perf_counter()}

    def _take(self, pipeline: Pipeline, camera: str, received: Received) -> None:
        now = time.perf_counter()
        stamp = received.message.header.stamp
        self._marks = {**self._received[stamp.sec, stamp.nanosec], "taken": now}

    def _published(self, publisher: Any, message: Any) -> None:
        name = publisher.topic_name.rpartition("/")[2]
        if name in ("mask", "confidence", "class_scores"):
            self._marks[f"{name} published"] = time.perf_counter()

    def _write(self, *_: Any) -> None:
        self._marks["done"] = time.perf_counter()
        print(_LINE + json.dumps(self._marks), flush=True)


if __name__ == "__main__":
    _Probe().install()
    main()

"""How long a change of words takes, and whether images flow meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from errseg_ros.benchmark_node.traffic import cameras_process
from errseg_ros.benchmark_node.words import CITYSCAPES, KNOWN, NEW
from errseg_ros.client import ANSWER_SECONDS, Client
from errseg_ros.node_process import NodeProcess
from errseg_ros.ros_time import SECOND

RATE = 30.0
"""Of the camera, in Hz."""

_PAUSE_SECONDS = 0.1
_AFTER_SECONDS = 3.0


@dataclass(frozen=True)
class Replies:
    """Times from a request to its reply, in ms."""

    count: int
    median_ms: float
    p90_ms: float
    worst_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Replies:
        """Raises ValueError without any."""
        median = statistics.median(times_ms)
        return cls(len(times_ms), median, float(np.percentile(times_ms, 90)), max(times_ms))


@dataclass(frozen=True)
class Flow:
    """Masks of one camera during some time."""

    seconds: float
    masks: int
    longest_gap_ms: float
    """Between two masks; also where only a part of it is in that time."""

    @property
    def hz(self) -> float:
        """Masks a second."""
        return self.masks / self.seconds

    @classmethod
    def of(cls, written_ns: Sequence[int], start_ns: int, end_ns: int) -> Flow:
        """Of the masks that were published after start, up to end; of the others the neighbours count for the gaps."""
        inside = [moment for moment in written_ns if start_ns < moment <= end_ns]
        before = max((moment for moment in written_ns if moment <= start_ns), default=start_ns)
        after = min((moment for moment in written_ns if moment > end_ns), default=end_ns)
        gaps = [later - earlier for earlier, later in pairwise([before, *inside, after])]
        return cls((end_ns - start_ns) / SECOND, len(inside), max(gaps) / 1e6)


@dataclass(frozen=True)
class Changes:
    """All that is measured here."""

    idle: Replies
    """Changes to names seen before, while no image comes."""
    flowing: Replies
    """The same at 30 Hz."""
    new_names: int
    new_reply_ms: float
    """To that many names that were never seen, at 30 Hz."""
    before: Flow
    """Without a change."""
    encoding: Flow
    """From that request to its reply: the names are encoded."""
    entering: Flow
    """From its reply on: topics of as many classes are created."""
    seen_reply_ms: float
    """To as many names, once they were seen."""


def measure_changes(folder: Path, count: int, before_seconds: float, node_parameters: dict[str, Any]) -> Changes:
    """`count` changes idle and as many at 30 Hz; logs go to `folder`."""
    parameters = {**node_parameters, "mask_encoding": "mono16", "vocabulary": list(CITYSCAPES)}
    with NodeProcess(parameters, folder / "changes.log") as node:
        with Client(node) as client:
            client.wait_until_ready()
            idle = _replies(client, count)
        with (
            cameras_process(("camera",), RATE, folder / "changes_cameras.log"),
            Client(node) as client,
        ):
            written: list[int] = []
            client.subscribe(Image, "camera/mask", lambda message, moment: written.append(moment))
            client.wait_until_ready()
            client.wait(lambda: len(written) >= 2, ANSWER_SECONDS, "errseg_node has not answered two images")
            flowing = _replies(client, count)
            before = _flow(written, lambda: client.spin(before_seconds))
            request = client.change_and_wait({"vocabulary": list(NEW)})
            client.spin(_AFTER_SECONDS)
            assert request.replied_ns is not None
            client.change_and_wait({"vocabulary": list(CITYSCAPES)})
            again = client.change_and_wait({"vocabulary": list(NEW)})
            return Changes(
                idle=idle,
                flowing=flowing,
                new_names=len(NEW),
                new_reply_ms=request.reply_ms,
                before=before,
                encoding=Flow.of(written, request.asked_ns, request.replied_ns),
                entering=Flow.of(written, request.replied_ns, request.replied_ns + int(_AFTER_SECONDS * SECOND)),
                seen_reply_ms=again.reply_ms,
            )


def _flow(written: list[int], wait: Callable[[], None]) -> Flow:
    """While `wait` waits."""
    start_ns = time.time_ns()
    wait()
    return Flow.of(written, start_ns, time.time_ns())


def _replies(client: Client, count: int) -> Replies:
    """Of changes between vocabularies that are in use in turn; each was seen once before."""
    for names in (*KNOWN, KNOWN[0]):
        client.change_and_wait({"vocabulary": list(names)})
    times = []
    for names in islice(cycle((*KNOWN[1:], KNOWN[0])), count):
        client.spin(_PAUSE_SECONDS)
        times.append(client.change_and_wait({"vocabulary": list(names)}).reply_ms)
    return Replies.of(times)

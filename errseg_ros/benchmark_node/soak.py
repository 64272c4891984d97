"""Hours in minutes: four cameras at 30 Hz, a change of words every second, and every mask is checked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification, LabelInfo

from errseg_ros import qos
from errseg_ros.answers import Answers, Parts
from errseg_ros.benchmark_node.judging import Answer, Change, Fault, Growth, Labels, Sample, Words, growth, judge
from errseg_ros.benchmark_node.judging import delays_ms as delays_of
from errseg_ros.benchmark_node.resources import sample
from errseg_ros.benchmark_node.traffic import Published, cameras_process, read_published
from errseg_ros.benchmark_node.words import KNOWN
from errseg_ros.class_ids import CAPACITIES
from errseg_ros.client import ANSWER_SECONDS, Client, Request
from errseg_ros.image_decoding import ids_from_image
from errseg_ros.node_process import NodeProcess

CAMERAS = ("front", "left", "right", "rear")
RATE = 30.0
"""Of each camera, in Hz."""

_CHANGE_SECONDS = 1.0
_UNLABELLED = CAPACITIES["mono8"]
_THRESHOLDS = (0.0, 0.5, 0.25)  # exact in 32 bits, as label_info has it


@dataclass(frozen=True)
class Soak:
    """What came of it."""

    seconds: float
    published: Published
    masks: dict[str, int]
    """Of each camera that were checked."""
    changes: int
    refused: list[str]
    """Reasons of changes that were not accepted; there should be none."""
    delays_ms: list[float]
    """Of each change that a mask followed, from its reply to the first mask of an image stamped after it."""
    incomplete: int
    """Masks that came without confidence or scores, and were not checked; some may have been on their way."""
    reply_ms: list[float]
    faults: list[Fault]
    growth: Growth
    samples: list[Sample]

    @property
    def unfollowed(self) -> int:
        """Changes that no mask followed."""
        return self.changes - len(self.delays_ms)

    @property
    def failed(self) -> bool:
        """Whether something was not as it must be, or a camera got no masks, so that nothing was checked."""
        return bool(self.faults or self.refused or not all(self.masks.values()))


@dataclass
class _Inbox:
    """What has come from the node."""

    answers: list[Answer] = field(default_factory=list)
    """The complete ones."""
    waiting: dict[str, Answers] = field(default_factory=dict)
    """By camera, those that are not complete yet."""
    labels: list[Labels] = field(default_factory=list)

    def listen(self, client: Client, camera: str) -> None:
        waiting = self.waiting[camera] = Answers()

        def take(parts: Parts) -> None:
            if parts.are_complete:
                del waiting.parts[parts.stamp_ns]
                self.answers.append(_answer(camera, parts))

        client.subscribe(Image, f"{camera}/mask", lambda mask, written_ns: take(waiting.add_mask(mask, written_ns)))
        client.subscribe(Image, f"{camera}/confidence", lambda image, _: take(waiting.add_confidence(image)))
        client.subscribe(Classification, f"{camera}/class_scores", lambda scores, _: take(waiting.add_scores(scores)))

    def add_labels(self, message: LabelInfo, written_ns: int) -> None:
        ids = {each.class_name: each.class_id for each in message.class_map}
        self.labels.append(Labels(written_ns, ids, message.threshold))

    @property
    def incomplete(self) -> int:
        """Masks that wait for a part."""
        return sum(parts.mask is not None for answers in self.waiting.values() for parts in answers.parts.values())


def _answer(camera: str, parts: Parts) -> Answer:
    assert parts.names is not None  # they are complete
    ids, scores = ids_from_image(parts.mask), ids_from_image(parts.confidence)
    labelled = ids != _UNLABELLED
    found = np.flatnonzero(np.bincount(ids.reshape(-1), minlength=_UNLABELLED + 1)[:_UNLABELLED])
    return Answer(
        camera,
        parts.stamp_ns,
        parts.mask_ns,
        parts.names,
        ids=frozenset(found.tolist()),
        least_labelled=int(scores[labelled].min()) if labelled.any() else None,
        most_unlabelled=None if labelled.all() else int(scores[~labelled].max()),
    )


@dataclass
class _Driver:
    """Asks for one change after the other."""

    client: Client
    words: Iterator[Words]
    open: tuple[Words, Request] | None = None
    changes: list[Change] = field(default_factory=list)
    reply_ms: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """For the next words, unless the last change has no reply yet."""
        self.close()
        if self.open is None:
            words = next(self.words)
            parameters = {"vocabulary": list(words.names), "confidence_threshold": words.threshold}
            self.open = words, self.client.change(parameters)

    def close(self) -> None:
        """Take the reply if it has come."""
        if self.open is None or self.open[1].replied_ns is None:
            return
        (words, request), self.open = self.open, None
        assert request.replied_ns is not None
        if request.problem:
            self.refused.append(request.problem)
        else:
            self.changes.append(Change(words, request.asked_ns, request.replied_ns))
            self.reply_ms.append(request.reply_ms)


def run_soak(folder: Path, seconds: float, node_parameters: dict[str, Any], progress: Callable[[str], None]) -> Soak:
    """Run for so long, from the first answer of each camera on. Logs go to `folder`."""
    words = _all_words()
    parameters = {**node_parameters, "cameras": list(CAMERAS), "vocabulary": list(KNOWN[0])}
    cameras_log = folder / "soak_cameras.log"
    with (
        NodeProcess(parameters, folder / "soak.log") as node,
        cameras_process(CAMERAS, RATE, cameras_log) as cameras,
        Client(node) as client,
    ):
        inbox = _Inbox()
        client.subscribe(LabelInfo, "label_info", inbox.add_labels, _latched_queue())
        for camera in CAMERAS:
            inbox.listen(client, camera)
        client.wait_until_ready()
        client.wait(
            lambda: {answer.camera for answer in inbox.answers} == set(CAMERAS),
            ANSWER_SECONDS,
            "errseg_node has not answered an image of each camera",
        )
        driver = _Driver(client, cycle((*words[1:], words[0])))
        driver.changes.append(Change(words[0], 0, 0))
        first = len(inbox.answers)
        samples = _drive(node, driver, inbox, seconds, progress)
        cameras.stop()
        answers = inbox.answers[first:]
    return Soak(
        seconds=samples[-1].seconds,
        published=read_published(cameras_log),
        masks={camera: Counter(answer.camera for answer in answers)[camera] for camera in CAMERAS},
        changes=len(driver.changes) - 1,
        refused=driver.refused,
        delays_ms=delays_of(answers, driver.changes[1:]),
        incomplete=inbox.incomplete,
        reply_ms=driver.reply_ms,
        faults=judge(answers, inbox.labels, driver.changes),
        growth=growth(samples),
        samples=samples,
    )


def _drive(
    node: NodeProcess, driver: _Driver, inbox: _Inbox, seconds: float, progress: Callable[[str], None]
) -> list[Sample]:
    start = time.monotonic()
    samples: list[Sample] = []
    while (elapsed := time.monotonic() - start) < seconds:
        if elapsed >= len(samples) * _CHANGE_SECONDS:
            driver.ask()
            samples.append(sample(node.pid, elapsed))
            if len(samples) % 30 == 0:
                progress(f"{elapsed:.0f} s, {len(inbox.answers)} masks, {samples[-1].resident_mb:.0f} MB")
        driver.client.spin_once(0.02)
        driver.close()
    driver.client.wait(lambda: driver.open is None or _replied(driver), ANSWER_SECONDS, "no reply to the last change")
    return samples


def _replied(driver: _Driver) -> bool:
    driver.close()
    return driver.open is None


def _all_words() -> Sequence[Words]:
    """Each vocabulary under each threshold, neighbours differ in names and mostly in the threshold."""
    return [Words(names, threshold) for threshold in _THRESHOLDS for names in KNOWN]


def _latched_queue() -> Any:
    profile = qos.latched()
    profile.depth = 50
    return profile

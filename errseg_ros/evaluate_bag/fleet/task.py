"""What a machine of the cluster does: one bag, with messages on the way.

A process keeps its models for the next bag. On GPUs, Ray takes a new process for each bag, whose GPU may be another.
"""

from __future__ import annotations

import os
import pickle
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from errseg_model.errors import InputError
from errseg_model.memory import reuse_memory
from errseg_model.openmp import wait_passively
from errseg_ros.evaluate_bag.evaluator import Progress, evaluate_one, start
from errseg_ros.evaluate_bag.fleet.identity import Identity, identity
from errseg_ros.evaluate_bag.plan import BagPlan
from errseg_ros.evaluate_bag.settings import Settings
from errseg_ros.evaluate_bag.sink import FrameSink

if TYPE_CHECKING:
    from errseg_ros.evaluate_bag.models import Models

REACHED_SECONDS = 1.0
"""Between two messages of how far a bag is."""
SAVE_SECONDS = 5.0
"""At least, between two messages to go on from; the first is sent after the first image."""
SAVE_BYTES_PER_SECOND = 500_000
"""At most, of such messages. They hold the report's pictures, up to some 30 MB: many bags at once are not to flood the
command. A machine that is lost takes the work since the last one with it, a minute at most."""
_WAKE_SECONDS = 0.2


@dataclass(frozen=True)
class Saved:
    """How far a bag is, to go on from. Pickled by us: arrays in messages of Ray cannot be written to."""

    pickled: bytes = field(repr=False)

    @classmethod
    def of(cls, progress: Progress) -> Saved:
        """As it is now."""
        return cls(pickle.dumps(progress, pickle.HIGHEST_PROTOCOL))

    def progress(self) -> Progress:
        """A copy of it."""
        loaded = pickle.loads(self.pickled)
        assert isinstance(loaded, Progress)
        return loaded


@dataclass(frozen=True)
class Assignment:
    """One bag for one machine. Paths are absolute."""

    plan: BagPlan
    settings: Settings
    identity: Identity
    """Of the machine of the command."""
    threads: int
    saved: Saved | None = None
    """Where the bag stands; None: at its start."""
    make_sink: Callable[[BagPlan, Settings], FrameSink] | None = None


@dataclass(frozen=True)
class Started:
    """The models are loaded."""

    machine: str
    model: str
    device: str
    input_size: tuple[int, int]
    max_classes: int


@dataclass(frozen=True)
class Reached:
    """How far the bag is."""

    next_index: int


@dataclass(frozen=True)
class Refused:
    """Wrong input."""

    reason: str
    everywhere: bool
    """It is no fault of this bag: others would end like it."""


Message = Started | Reached | Saved | Refused


def evaluate(assignment: Assignment) -> Iterator[Message]:
    """Evaluate a bag: the last message is Saved with a progress that is done, or Refused.

    The work is done on a thread of its own, so that messages can leave meanwhile. Ray ends this early with an
    exception in the main thread; the image in work is then still computed, and nothing half-written is left.
    """
    messages: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()
    ended = threading.Event()

    def work() -> None:
        try:
            _work(assignment, messages.put, ended)
            messages.put(None)
        except BaseException as error:
            messages.put(error)

    thread = threading.Thread(target=work, name="evaluate")
    thread.start()
    try:
        while True:
            try:
                message = messages.get(timeout=_WAKE_SECONDS)
            except queue.Empty:
                continue
            if isinstance(message, BaseException):
                raise message
            if message is None:
                return
            yield message
    finally:
        ended.set()
        thread.join()


def _work(assignment: Assignment, send: Callable[[Message], None], ended: threading.Event) -> None:
    machine = machine_name()
    try:
        _check(assignment)
        models = _models(assignment.settings, assignment.threads)
    except InputError as error:
        send(Refused(f"machine {machine} {error}", everywhere=True))
        return
    config = models.segmenter.config
    send(Started(machine, config.name, str(models.segmenter.device), config.input_size, config.max_classes))
    saved_before = assignment.saved
    progress = start(assignment.plan, assignment.settings) if saved_before is None else saved_before.progress()
    next_reached = next_saved = time.monotonic()

    def go_on(progress: Progress) -> bool:
        nonlocal next_reached, next_saved
        now = time.monotonic()
        if now >= next_saved and assignment.make_sink is None:
            saved = Saved.of(progress)
            send(saved)
            next_saved = now + max(SAVE_SECONDS, len(saved.pickled) / SAVE_BYTES_PER_SECOND)
        elif now >= next_reached:
            send(Reached(progress.next_index))
            next_reached = now + REACHED_SECONDS
        return not ended.is_set()

    try:
        sink = assignment.make_sink(assignment.plan, assignment.settings) if assignment.make_sink else None
        evaluate_one(assignment.plan, assignment.settings, models, progress, sink, go_on)
    except InputError as error:
        send(Refused(f"{assignment.plan.name}: {error} (on machine {machine})", everywhere=False))
        return
    send(Saved.of(progress))


def machine_name() -> str:
    """Of this machine, for people."""
    import ray

    return f"{platform.node()} ({ray.util.get_node_ip_address()})"  # type: ignore[no-untyped-call]


def _check(assignment: Assignment) -> None:
    """Raises InputError, worded to follow the machine's name."""
    path = assignment.plan.path
    if not os.path.exists(path):
        raise InputError(
            f"does not see {path}: bags have to lie on storage that all machines of the cluster have under that path"
        )
    try:
        different = identity(assignment.settings).difference(assignment.identity)
    except InputError as error:
        raise InputError(f"lacks what the model needs: {error}") from None
    if different is not None:
        raise InputError(f"{different}: install the same on all machines")


_loaded: list[tuple[Settings, Models]] = []


def forget_models() -> None:
    """The next bag loads them anew."""
    _loaded.clear()


def _models(settings: Settings, threads: int) -> Models:
    """Those of this process; loaded where it has none for these settings."""
    reuse_memory()
    wait_passively()
    import cv2
    import torch

    from errseg_ros.evaluate_bag.models import Models

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    if not _loaded or _loaded[0][0] != settings:
        forget_models()  # before others take their place in memory
        try:
            _loaded.append((settings, Models(settings)))
        except InputError as error:
            raise InputError(f"cannot load the model: {error}") from None
    return _loaded[0][1]

"""SIGINT and SIGTERM at any moment of the node's life: exit status 0 within 3 s, without a word of complaint.

Moments are waited for by what can be seen of the process from outside, not by the clock, so that they are met on a
machine of any speed; the random ones are the exception.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

END_SECONDS = 3.0
START_SECONDS = 90
MASK = "/errseg/camera/mask"
THOUSAND = [f"kind of thing {number}" for number in range(1000)]
ACTIVATE, DEACTIVATE, CLEANUP, CONFIGURE, SHUTDOWN = (
    getattr(Transition, f"TRANSITION_{name}")
    for name in ("ACTIVATE", "DEACTIVATE", "CLEANUP", "CONFIGURE", "UNCONFIGURED_SHUTDOWN")
)


@dataclass
class Scene:
    """A node that was just started, and who talks to it."""

    node: Any
    client: Any
    image: Callable[[], Image]

    def wait_for(self, done: Callable[[], bool], what: str) -> None:
        """Without a pause that a moment could pass in unseen."""
        end = time.monotonic() + START_SECONDS
        while not done():
            assert self.node.process.poll() is None, f"the node ended before {what}:\n{self.node.log()}"
            assert time.monotonic() < end, f"waited in vain for {what}:\n{self.node.log()}"

    def handles_signals(self) -> None:
        """Until there is a handler of SIGTERM, which Python itself does not have."""
        status = Path(f"/proc/{self.node.process.pid}/status")
        bit = 1 << (signal.SIGTERM - 1)
        self.wait_for(lambda: bool(int(re.search(r"SigCgt:\s+(\w+)", status.read_text())[1], 16) & bit), "a handler")

    def has_loaded(self, library: str) -> None:
        """Until a shared library is in the process."""
        self.handles_signals()
        maps = Path(f"/proc/{self.node.process.pid}/maps")
        self.wait_for(lambda: library in maps.read_text(), library)

    def ask(self, transition: int) -> Any:
        """For a change of state, which must be possible. Returns the answer's future."""
        service = self.client.node.create_client(ChangeState, "/errseg/change_state")
        self.client.wait_until(service.service_is_ready, "the service")
        return service.call_async(ChangeState.Request(transition=Transition(id=transition)))

    def change(self, transition: int) -> None:
        """Until the state has changed."""
        future = self.ask(transition)
        self.client.wait_until(future.done, "an answer", START_SECONDS)
        assert future.result().success

    def stream(self) -> None:
        """Images at 30 Hz from now on, until there is a mask."""
        self.client.subscribe(Image, MASK)
        publisher = self.client.publisher("/camera/image")
        self.client.node.create_timer(1 / 30, lambda: publisher.publish(self.image()))
        self.client.wait_until(lambda: self.client.received[MASK], "a mask", START_SECONDS)


def ready(scene: Scene) -> None:
    scene.node.wait_for_log("ready")


def first_line(scene: Scene) -> None:
    scene.handles_signals()


def importing_ros(scene: Scene) -> None:
    scene.has_loaded("librcl.so")


def joining_dds(scene: Scene) -> None:
    scene.has_loaded("libfastdds")


def importing_pytorch(scene: Scene) -> None:
    scene.has_loaded("libtorch_cpu")


def loading(scene: Scene) -> None:
    scene.node.wait_for_log("loading errseg-lite")


def images(scene: Scene) -> None:
    ready(scene)
    scene.stream()


def encoding(scene: Scene) -> None:
    images(scene)
    scene.client.set_vocabulary_without_waiting(THOUSAND)
    scene.client.spin(0.5)


def creating_topics(scene: Scene) -> None:
    images(scene)
    scene.client.set_vocabulary_without_waiting(THOUSAND)
    prefix = "/errseg/camera/class_confidence/kind"
    scene.client.wait_until(
        lambda: any(name.startswith(prefix) for name, _ in scene.client.node.get_topic_names_and_types()),
        "a topic of the new names",
        START_SECONDS,
    )


def unconfigured(scene: Scene) -> None:
    scene.node.wait_for_log("waiting to be configured")


def configuring(scene: Scene) -> None:
    unconfigured(scene)
    scene.ask(CONFIGURE)
    scene.node.wait_for_log("loading errseg-lite")


def deactivating(scene: Scene) -> None:
    images(scene)
    scene.ask(DEACTIVATE)
    scene.client.spin(0.01)


def cleaning_up(scene: Scene) -> None:
    images(scene)
    scene.change(DEACTIVATE)
    scene.ask(CLEANUP)
    scene.client.spin(0.02)


def activating(scene: Scene) -> None:
    images(scene)
    scene.change(DEACTIVATE)
    scene.ask(ACTIVATE)


def finalized(scene: Scene) -> None:
    unconfigured(scene)
    scene.change(SHUTDOWN)


def after(seconds: float) -> Callable[[Scene], None]:
    def wait(scene: Scene) -> None:
        scene.handles_signals()
        time.sleep(seconds)

    return wait


INT, TERM = signal.SIGINT, signal.SIGTERM
MANAGED = {"autostart": "false"}
CASES: Iterable[tuple[Callable[[Scene], None], tuple[signal.Signals, ...], dict[str, str]]] = [
    (first_line, (INT,), {}),
    (first_line, (TERM, INT), {}),
    (importing_ros, (INT,), {}),
    (joining_dds, (TERM,), {}),
    (importing_pytorch, (INT,), {}),
    (loading, (INT,), {}),
    (ready, (INT, TERM), {}),
    (images, (TERM, INT, TERM), {}),
    (encoding, (TERM,), {"mask_encoding": "mono16"}),
    (creating_topics, (INT,), {"mask_encoding": "mono16"}),
    (unconfigured, (TERM,), MANAGED),
    (configuring, (INT, INT), MANAGED),
    (activating, (INT,), {}),
    (deactivating, (TERM,), {}),
    (cleaning_up, (INT,), {}),
    (finalized, (TERM,), MANAGED),
]
RANDOM = random.Random(3)
SOMETIME = [(after(RANDOM.uniform(0, 5)), (RANDOM.choice([INT, TERM]),), {}) for _ in range(2)]


def name(case: Any) -> str:
    moment, numbers, _ = case
    return f"{moment.__name__}-{'-'.join(number.name for number in numbers)}"


@pytest.mark.parametrize("case", [*CASES, *SOMETIME], ids=name)
def test_a_signal_ends_it_with_status_0(
    start_node: Callable[..., Any], client: Any, image: Callable[[], Image], case: Any, record_property: Any
) -> None:
    moment, numbers, settings = case
    with start_node(input_size="[64, 64]", device="cpu", **settings) as node:
        moment(Scene(node, client, image))
        start = time.monotonic()
        for number in numbers:
            os.killpg(node.process.pid, number)  # as Ctrl-C in a terminal, or a launch file's end, does
        status = node.process.wait(20)
        seconds = time.monotonic() - start
        record_property("seconds", round(seconds, 2))
        trouble = [line for line in node.log().splitlines() if not line.startswith("[INFO]")]
        assert (status, trouble) == (0, []), node.log()
        assert seconds < END_SECONDS

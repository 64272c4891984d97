"""errseg_node as a managed node, driven as a lifecycle manager does it, over real DDS."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from sensor_msgs.msg import Image

from errseg_ros.node import THREADS

MASK, LABELS = "/errseg/camera/mask", "/errseg/label_info"
ALWAYS = {"/diagnostics", "/errseg/transition_event", "/parameter_events", "/rosout"}
OUTPUTS = {LABELS, "/errseg/vocabulary_info"} | {
    f"/errseg/camera/{name}"
    for name in (
        *("mask", "confidence", "class_scores", "overlay", "overlay/compressed"),
        *("class_confidence/road", "class_confidence/sky"),
    )
}
SLOW = """
import time
from errseg_ros import segmentation_node
load = segmentation_node._load
def slow(values):
    time.sleep(6)
    return load(values)
segmentation_node._load = slow
from errseg_ros.node import main
main()
"""
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
    "unconfigured_shutdown": Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    "active_shutdown": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


def request(name: str) -> ChangeState.Request:
    return ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))


def change(client: Any, *names: str) -> list[bool]:
    return [client.call(ChangeState, "/errseg/change_state", request(name)).success for name in names]


def state(client: Any) -> str:
    return client.call(GetState, "/errseg/get_state", GetState.Request()).current_state.label


def topics(client: Any) -> set[str]:
    """What the node publishes as of its state, without what it does in every one.

    DDS tells a node's services and its name apart, in no order: a service may have answered before the name is known,
    and asking for the topics of an unknown name is an error.
    """
    client.wait_until(lambda: published(client) >= ALWAYS, "the node's name and what it always publishes")
    return published(client) - ALWAYS


def published(client: Any) -> set[str]:
    """All that the node publishes, as far as it is known."""
    if ("errseg", "/") not in client.node.get_node_names_and_namespaces():
        return set()
    return {name for name, _ in client.node.get_publisher_names_and_types_by_node("errseg", "/")}


def subscribed(client: Any) -> bool:
    return client.node.count_subscribers("/camera/image") > 0


def process_facts(node: Any) -> tuple[int, int, int]:
    """Number of threads, resident memory in MiB and number of open files."""
    text = Path(f"/proc/{node.process.pid}/status").read_text()
    threads, kibibytes = (int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) for name in ("Threads", "VmRSS"))
    return threads, kibibytes // 1024, len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


@pytest.fixture
def managed(start_node: Callable[..., Any], client: Any) -> Iterator[Any]:
    with start_node(autostart="false", input_size="[64, 64]", vocabulary="[road, sky]", device="cpu") as node:
        node.wait_for_log("waiting to be configured")
        yield node


def test_a_manager_takes_it_through_all_states(managed: Any, client: Any, image: Callable[..., Image]) -> None:
    assert state(client) == "unconfigured"
    answer = client.call(
        GetAvailableTransitions, "/errseg/get_available_transitions", GetAvailableTransitions.Request()
    )
    assert {each.transition.label for each in answer.available_transitions} == {"configure", "shutdown"}
    # Parameters answer, and what is wrong is refused, before there is a model.
    assert not client.set_vocabulary(["road", "Road"]).successful
    assert client.set_vocabulary(["road", "tree"]).successful
    assert not client.set_vocabulary([f"thing {number}" for number in range(256)]).successful
    assert client.get_vocabulary() == ["road", "tree"]
    assert topics(client) == set() and not subscribed(client)

    assert change(client, "activate") == [False]
    assert change(client, "configure") == [True]
    assert state(client) == "inactive"
    client.subscribe_outputs()
    assert client.labels(["road", "tree"]) == {"road": 0, "tree": 1}
    client.wait_until(lambda: MASK in topics(client), "the topics")
    assert client.set_vocabulary(["tree", "car"]).successful
    assert client.labels(["tree", "car"]) == {"tree": 1, "car": 2}
    assert not subscribed(client)

    assert change(client, "activate") == [True]
    publisher = client.publisher("/camera/image")
    client.answer(publisher, image(), MASK)
    assert change(client, "deactivate") == [True]
    client.wait_until(lambda: not subscribed(client), "the end of the subscription")
    # Not counted: an answer from before may arrive after that of the service.
    late = [image() for _ in range(5)]
    for each in late:
        publisher.publish(each)
        client.spin(0.1)
    assert not any(received.message.header == each.header for received in client.received[MASK] for each in late)

    assert change(client, "cleanup") == [True]
    assert state(client) == "unconfigured"
    client.wait_until(lambda: topics(client) == set(), "the end of the topics")
    # Ids and versions go on.
    assert client.set_vocabulary(["bus", "car"]).successful
    client.received[LABELS].clear()
    assert change(client, "configure", "activate") == [True, True]
    assert client.labels(["bus", "car"]) == {"bus": 3, "car": 2}
    versions = lambda: [each.message.database_version for each in client.received["/errseg/vocabulary_info"]]  # noqa: E731
    client.wait_until(lambda: 3 in versions(), "version 3")
    assert versions() == [1, 2, 3]
    client.wait_until(lambda: publisher.get_subscription_count() > 0, "the subscription")
    client.answer(publisher, image(), MASK)

    assert change(client, "active_shutdown") == [True]
    assert state(client) == "finalized"
    client.wait_until(lambda: topics(client) == set(), "the end of the topics")
    assert client.get_vocabulary() == ["bus", "car"]
    assert managed.end(signal.SIGTERM)[0] == 0, managed.log()
    assert "Traceback" not in managed.log()


def test_configure_fails_with_one_line_and_can_be_tried_again(
    start_node: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "weights.safetensors"
    checkpoint.write_bytes(b"no weights")
    settings = {"checkpoint": str(checkpoint), "input_size": "[64, 64]", "vocabulary": "[road, sky]"}
    with start_node(autostart="false", **settings) as node:
        node.wait_for_log("waiting to be configured")
        client.subscribe(DiagnosticArray, "/diagnostics")
        assert change(client, "configure") == [False]
        assert state(client) == "unconfigured"
        (line,) = (line for line in node.log().splitlines() if "configure failed" in line)
        assert "[ERROR]" in line and str(checkpoint) in line
        statuses = lambda: [each for r in client.received["/diagnostics"] for each in r.message.status]  # noqa: E731
        client.wait_until(
            lambda: [
                each
                for each in statuses()
                if (each.name, each.level) == ("errseg", DiagnosticStatus.ERROR) and str(checkpoint) in each.message
            ],
            "the reason in the diagnostics",
        )
        weights = Path(__file__).parents[2] / "errseg_model" / "weights" / "errseg-lite.safetensors"
        checkpoint.write_bytes(weights.read_bytes())
        assert change(client, "configure", "activate") == [True, True]
        client.received["/diagnostics"].clear()
        client.wait_until(lambda: any(each.message == "active" for each in statuses()), "diagnostics of the new state")
        assert node.process.poll() is None


def test_too_many_names_fail_at_configure_until_there_are_fewer(start_node: Callable[..., Any], client: Any) -> None:
    names = ", ".join(f"thing {number}" for number in range(256))
    with start_node(autostart="false", input_size="[64, 64]", vocabulary=f"[{names}]") as node:
        node.wait_for_log("waiting to be configured")
        assert change(client, "configure") == [False]
        assert "mono16" in node.log()
        assert client.set_vocabulary(["road"]).successful
        assert change(client, "configure") == [True]


def test_the_state_can_be_asked_for_while_the_model_is_loaded_and_a_signal_ends_it(managed: Any, client: Any) -> None:
    manager = client.node.create_client(ChangeState, "/errseg/change_state")
    client.wait_until(manager.service_is_ready, "the service")
    future = manager.call_async(request("configure"))
    seen = set()
    while not future.done() and "configuring" not in seen:
        seen.add(state(client))
    assert "configuring" in seen
    status, seconds = managed.end(signal.SIGINT)
    assert (status, "Traceback" in managed.log()) == (0, False), managed.log()
    assert seconds < 3


def test_the_node_answers_while_it_starts_itself(start_node: Callable[..., Any], client: Any, tmp_path: Path) -> None:
    """With a model that takes seconds to load, as large ones do."""
    program = tmp_path / "slow_node.py"
    program.write_text(SLOW)
    with start_node((str(program),), input_size="[64, 64]", vocabulary="[road, sky]", device="cpu") as node:
        assert state(client) == "configuring"
        assert client.set_vocabulary(["road", "tree"]).successful and client.get_vocabulary() == ["road", "tree"]
        assert change(client, "configure") == [False]
        assert "ready" not in node.log()
        node.wait_for_log("ready: waiting for")
        assert state(client) == "active"
        client.subscribe_outputs()
        client.labels(["road", "tree"])


def test_a_configure_that_fails_late_leaves_no_topic(start_node: Callable[..., Any], client: Any) -> None:
    """Of the second camera, after the first one's topics are there."""
    override = {"qos_overrides./errseg/rear/confidence.publisher.reliability": "besteffort"}
    with start_node(
        autostart="false", cameras="[camera, rear]", input_size="[64, 64]", device="cpu", **override
    ) as node:
        for _ in range(2):
            assert change(client, "configure") == [False]
            assert state(client) == "unconfigured"
            client.wait_until(lambda: topics(client) == set(), "no topics")
        assert "qos_overrides of ~/rear/confidence: " in node.log() and "reliable or best_effort" in node.log()


def test_an_activate_that_fails_late_listens_to_no_camera(start_node: Callable[..., Any], client: Any) -> None:
    """Nor does the first camera's image become a mask of a node that is inactive."""
    override = {"qos_overrides./rear/image.subscription.reliability": "besteffort"}
    with start_node(
        autostart="false", cameras="[camera, rear]", input_size="[64, 64]", device="cpu", **override
    ) as node:
        assert change(client, "configure") == [True]
        for _ in range(2):
            assert change(client, "activate") == [False]
            assert state(client) == "inactive"
            client.wait_until(lambda: client.node.count_subscribers("/camera/image") == 0, "no subscription")
        assert "qos_overrides of rear/image: " in node.log()


def test_rounds_leave_nothing_behind(managed: Any, client: Any, image: Callable[..., Image]) -> None:
    """Images at 30 Hz all the time, so that transitions meet images at any moment."""
    client.subscribe(Image, MASK)
    publisher = client.node.create_publisher(Image, "/camera/image", 1)
    client.node.create_timer(1 / 30, lambda: publisher.publish(image()))

    def rounds(count: int, *names: str) -> list[tuple[int, int, int]]:
        facts = []
        for _ in range(count):
            assert all(change(client, *names))
            client.received[MASK].clear()
            client.wait_until(lambda: client.received[MASK], "a mask")
            client.wait_until(lambda: topics(client) == OUTPUTS, "the topics, and no others")  # a mask may come first
            facts.append(process_facts(managed))
        return facts

    assert all(change(client, "configure", "activate"))
    client.wait_until(lambda: client.received[MASK], "a mask")
    threads, memory, files = zip(*rounds(50, "deactivate", "activate"), strict=True)
    # The executor starts its threads when it needs them.
    assert max(threads) < threads[0] + THREADS, threads
    assert files[-1] <= files[5], files  # the first ones join what other processes have
    assert memory[-1] < memory[5] * 1.01, memory

    loaded = memory[-1]
    threads, memory, files = zip(*rounds(5, "deactivate", "cleanup", "configure", "activate"), strict=True)
    assert max(threads) < threads[0] + THREADS, threads
    assert memory[-1] < memory[0] * 1.03, (loaded, memory)
    assert files[-1] <= files[0], files
    assert all(change(client, "deactivate", "cleanup"))
    assert process_facts(managed)[1] < memory[-1] - 40  # MiB: the network and the text tower
    assert "[ERROR]" not in managed.log() and managed.end(signal.SIGTERM)[0] == 0


def test_a_change_of_state_that_is_not_possible_is_refused(managed: Any, client: Any) -> None:
    start = time.monotonic()
    assert change(client, "deactivate", "cleanup") == [False, False]
    assert state(client) == "unconfigured"
    assert change(client, "unconfigured_shutdown") == [True]
    answer = client.call(GetState, "/errseg/get_state", GetState.Request()).current_state
    assert answer.id == State.PRIMARY_STATE_FINALIZED
    assert time.monotonic() - start < 10

"""Faults of the process: no memory left, a request that no code expects, a node that is killed and comes back."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo, VisionInfo

from errseg_ros.fault_log import PERIOD

MASK, LABELS = "/errseg/camera/mask", "/errseg/label_info"
FAULTY = str(Path(__file__).with_name("faulty_node.py"))
MEBIBYTE = 2**20
FAULTS = {201: "OutOfMemoryError", 202: "MemoryError", 203: "RuntimeError", 204: "RecursionError"}


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    """A node that fails on request, and must live on."""
    with start_node((FAULTY,), vocabulary="[road, sky]", input_size="[64, 64]", device="cpu") as node:
        node.wait_for_log("ready")
        yield node


# Before there is the other node.
def test_a_transition_that_breaks_off_ends_unconfigured_with_a_reason_and_can_be_tried_again(
    start_node: Callable[..., Any], client: Any, watch: Callable[[Any], Any]
) -> None:
    """In the error state the node frees what it has: on_error succeeds."""
    settings = {"input_size": "[64, 64]", "device": "cpu", "vocabulary": "[more than the memory holds]"}
    with start_node((FAULTY,), autostart="false", **settings) as managed:
        managed.wait_for_log("waiting to be configured")
        client.subscribe(DiagnosticArray, "/diagnostics")
        seen = watch(managed)
        configure, activate = (ChangeState.Request(transition=Transition(label=n)) for n in ("configure", "activate"))
        assert not client.call(ChangeState, "/errseg/change_state", configure).success
        assert client.call(GetState, "/errseg/get_state", GetState.Request()).current_state.label == "unconfigured"
        (line,) = seen.trouble
        assert line == "configure failed: OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
        client.wait_until(
            lambda: any(s.message == line for r in client.received["/diagnostics"] for s in r.message.status),
            "the reason in the diagnostics",
        )
        assert client.set_vocabulary(["road"]).successful
        assert client.call(ChangeState, "/errseg/change_state", configure).success
        assert client.call(ChangeState, "/errseg/change_state", activate).success


def with_fault(message: Image, number: int) -> Image:
    message.data = array("B", [number]) + message.data[1:]
    return message


@pytest.mark.parametrize(("number", "name"), FAULTS.items(), ids=FAULTS.values())
def test_an_image_that_fails_is_one_line_and_the_next_is_answered(
    node: Any, client: Any, image: Callable[[], Image], watch: Callable[[Any], Any], number: int, name: str
) -> None:
    client.subscribe(Image, MASK)
    publisher = client.publisher("/camera/image")
    client.answer(publisher, image(), MASK)
    seen = watch(node)
    start = time.monotonic()
    publisher.publish(with_fault(image(), number))
    client.wait_until(lambda: seen.trouble, "a line about it")
    before = seen.memory
    for _ in range(10):  # in turns with good ones, as they come
        publisher.publish(with_fault(image(), number))
        client.spin(0.05)
        client.answer(publisher, image(), MASK)
    seen.assert_alive()
    assert seen.memory < before + 100 * MEBIBYTE, "what a failed image held was not freed"
    lines = seen.trouble
    assert len(lines) <= 1 + (time.monotonic() - start) // PERIOD, lines
    assert all("image of camera" in line and name in line and "Tried to allocate" in line for line in lines), lines


def test_an_image_that_failed_is_in_the_diagnostics(node: Any, client: Any, image: Callable[[], Image]) -> None:
    client.subscribe(DiagnosticArray, "/diagnostics")
    client.subscribe(Image, MASK)
    publisher = client.publisher("/camera/image")

    def failed() -> list[int]:
        statuses = [s for r in client.received["/diagnostics"] for s in r.message.status if s.name == "errseg: camera"]
        return [int(v.value) for s in statuses for v in s.values if v.key == "dropped: failed"]

    client.wait_until(failed, "diagnostics")
    before = failed()[-1]
    publisher.publish(with_fault(image(), 201))
    client.wait_until(lambda: failed()[-1] > before, "one more that failed")


def test_names_that_cannot_be_encoded_are_refused_and_the_old_ones_stay(
    node: Any, client: Any, image: Callable[[], Image], watch: Callable[[Any], Any]
) -> None:
    client.subscribe(Image, MASK)
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    result = client.set_vocabulary(["road", "more than the memory holds"])
    assert not result.successful and "nothing has changed: OutOfMemoryError: CUDA out of memory" in result.reason
    (line,) = seen.trouble
    assert line == result.reason
    assert client.get_vocabulary() == ["road", "sky"]
    client.answer(publisher, image(), MASK)


STRANGE = [
    ("vocabulary", ParameterValue(type=42, string_array_value=["road"])),
    ("vocabulary", ParameterValue(type=255)),
    ("", ParameterValue(type=4, string_value="x")),
    ("vocabulary\n", ParameterValue(type=9, string_array_value=["road"])),
    ("vocabulary", ParameterValue(type=0)),
    ("x" * 100_000, ParameterValue(type=2, integer_value=1)),
]


@pytest.mark.parametrize(
    ("service", "kind"),
    [(SetParameters, "set_parameters"), (SetParametersAtomically, "set_parameters_atomically")],
    ids=["one by one", "atomically"],
)
def test_a_request_that_rclpy_itself_fails_on_does_not_end_the_node(
    node: Any, client: Any, image: Callable[[], Image], service: Any, kind: str
) -> None:
    client.subscribe(Image, MASK)
    publisher = client.publisher("/camera/image")
    requests = client.node.create_client(service, f"/errseg/{kind}")
    client.wait_until(requests.service_is_ready, kind)
    for name, value in STRANGE:
        requests.call_async(service.Request(parameters=[Parameter(name=name, value=value)]))
        client.spin(0.1)
    assert client.get_vocabulary() == ["road", "sky"]
    client.answer(publisher, image(), MASK)
    assert "not handled: ValueError: 42" in node.log()
    assert "Traceback" not in node.log()


# Kills the node: the last one that uses it.
def test_after_a_kill_and_a_restart_old_and_new_subscribers_have_labels_and_masks_again(
    node: Any, start_node: Callable[..., Any], client: Any, image: Callable[[], Image]
) -> None:
    """Ids start anew in the new process: labels tell what they mean now."""
    assert client.set_vocabulary(["sky", "tree"]).successful
    client.subscribe_outputs()
    assert client.labels(["sky", "tree"]) == {"sky": 1, "tree": 2}
    publisher = client.publisher("/camera/image")
    timer = client.node.create_timer(1 / 30, lambda: publisher.publish(image()))
    client.wait_until(lambda: client.received[MASK], "a mask of the first node")
    node.process.kill()
    node.process.wait()
    killed = time.time_ns()
    with start_node(vocabulary="[tree, sky]", input_size="[64, 64]", device="cpu") as again:
        again.wait_for_log("ready")
        client.wait_until(lambda: client.received[MASK][-1].written > killed, "a mask of the second node", 60)
        assert client.labels(["tree", "sky"]) == {"tree": 0, "sky": 1}
        (label, *_) = (each for each in client.received[LABELS] if each.written > killed)
        (mask, *_) = (each for each in client.received[MASK] if each.written > killed)
        assert label.written < mask.written
        told = client.received["/errseg/vocabulary_info"]  # a topic of its own, which may come after the mask
        client.wait_until(lambda: told[-1].written > killed, "vocabulary_info of the second node")
        assert told[-1].message.database_version == 1
        client.node.destroy_timer(timer)
        # Who comes late.
        client.subscribe(LabelInfo, LABELS, latched=True)
        client.subscribe(VisionInfo, "/errseg/vocabulary_info", latched=True)
        client.wait_until(lambda: client.received[LABELS], "latched labels")
        assert client.labels(["tree", "sky"]) == {"tree": 0, "sky": 1}
        request = GetParameters.Request(names=["vocabulary", "max_classes"])
        answer = client.call(GetParameters, "/errseg/get_parameters", request)
        assert [list(answer.values[0].string_array_value), answer.values[1].integer_value] == [["tree", "sky"], 48]

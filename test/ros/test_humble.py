"""The node with the part of rclpy that ROS 2 Humble has, over real DDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

MASK, LABELS = "/errseg/camera/mask", "/errseg/label_info"
PROGRAM = str(Path(__file__).with_name("humble_node.py"))


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    with start_node((PROGRAM,), vocabulary="[road, sky]", input_size="[64, 64]", device="cpu") as node:
        node.wait_for_log("ready")
        yield node


def test_changes_are_taken_together_or_refused_together(node: Any, client: Any, image: Callable[[], Image]) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    client.answer(publisher, image(), MASK)
    client.labels(["road", "sky"])
    client.spin(0.5)
    before = len(client.received[LABELS])
    assert not client.set_atomically(vocabulary=["tree", "Tree"], confidence_threshold=0.5).successful
    assert not client.set_atomically(vocabulary=["tree"], confidence_threshold=1.5).successful
    assert not client.set_atomically(vocabulary=["tree"], model="errseg-b").successful
    assert client.get_vocabulary() == ["road", "sky"]
    assert client.set_atomically(vocabulary=["sky", "tree"], confidence_threshold=0.5, max_classes=1).successful
    assert client.get_vocabulary() == ["sky", "tree"]
    assert client.labels(["sky", "tree"]) == {"sky": 1, "tree": 2}
    client.answer(publisher, image(), MASK)
    (labels,) = client.received[LABELS][before:]
    assert labels.message.threshold == 0.5
    one_by_one = client.set(vocabulary=["sky"], confidence_threshold=2.0, max_classes=32)
    assert [result.successful for result in one_by_one] == [True, False, True]
    assert client.labels(["sky"]) == {"sky": 1}
    assert "Traceback" not in node.log()


def test_a_change_of_state_that_is_not_possible_is_answered(node: Any, client: Any) -> None:
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert client.call(ChangeState, "/errseg/change_state", request).success is False
    assert "no change of state: " in node.log() and "Traceback" not in node.log()


def test_its_topics_come_and_go_without_event_handlers(node: Any, client: Any, image: Callable[[], Image]) -> None:
    client.subscribe_outputs()
    for names in (["car", "bus"], ["bus", "tram"]):
        assert client.set_vocabulary(names).successful
        topic = f"/errseg/camera/class_confidence/{names[-1]}"
        subscription = client.subscribe(Image, topic)
        client.wait_until(lambda subscription=subscription: subscription.get_publisher_count() > 0, topic)
        client.answer(client.publisher("/camera/image"), image(), topic)
    known = lambda: {name for name, _ in client.node.get_topic_names_and_types()}  # noqa: E731
    client.wait_until(lambda: "/errseg/camera/class_confidence/car" not in known(), "the end of a topic")

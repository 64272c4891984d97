from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from errseg_model import UNLABELLED, SegmentationResult, Vocabulary
from errseg_model.visualization import overlay
from errseg_ros import publishers
from errseg_ros.publishers import CameraPublishers
from errseg_ros.vocabulary_server import Labels

VOCABULARY = Vocabulary.parse(["road", "sky"])
LABELS = Labels(VOCABULARY, (0, 1), 255, 1, "test", 0.0)
IMAGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8), (0, 0), 5)
MASK = np.repeat(np.array([0, 1, UNLABELLED], np.uint16), [50, 40, 38])[None].repeat(96, axis=0)
RESULT = SegmentationResult(
    vocabulary=VOCABULARY,
    mask=MASK,
    confidence=np.full(MASK.shape, 0.5, np.float32),
    scores={"road": 0.5, "sky": 0.5},
    selected=np.array([0, 1]),
    logits=np.zeros((2, 24, 32), np.float32),
)
TYPES = {"overlay": Image, "overlay/compressed": CompressedImage}


@pytest.fixture
def node(ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    for name in ("ROS_LOG_DIR", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, ros_environment[name])
    context = Context()
    rclpy.init(context=context, domain_id=int(ros_environment["ROS_DOMAIN_ID"]))
    yield Node("errseg", context=context)
    rclpy.shutdown(context=context)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with every overlay that is computed."""
    calls: list[None] = []

    def counted(*arguments: Any) -> Any:
        calls.append(None)
        return overlay(*arguments)

    monkeypatch.setattr(publishers, "overlay", counted)
    return calls


def wait(done: Callable[[], bool], step: Callable[[], None] = lambda: time.sleep(0.02)) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        step()


@pytest.mark.parametrize("listened", [[], ["overlay"], ["overlay/compressed"], list(TYPES)], ids=str)
def test_an_overlay_is_computed_once_while_somebody_listens(
    node: Node, computed: list[None], listened: list[str]
) -> None:
    camera = CameraPublishers(node, "camera", "mono8")
    received: dict[str, Any] = {}
    for name in listened:
        topic = f"~/camera/{name}"
        node.create_subscription(TYPES[name], topic, lambda message, name=name: received.update({name: message}), 1)
    for name in listened:
        wait(lambda name=name: node.count_publishers(f"/errseg/camera/{name}") == 1)
    wait(lambda: sum(p.get_subscription_count() for p in node.publishers if "overlay" in p.topic_name) == len(listened))
    camera.publish(Header(frame_id="front"), IMAGE, RESULT, LABELS)
    assert len(computed) == (1 if listened else 0)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    wait(lambda: received.keys() == set(listened), lambda: executor.spin_once(timeout_sec=0.1))
    expected = overlay(IMAGE, MASK, VOCABULARY)
    for name, message in received.items():
        assert message.header.frame_id == "front"
        if name == "overlay":
            assert (message.encoding, message.height, message.width, message.step) == ("rgb8", 96, 128, 384)
            assert message.data == array("B", expected.tobytes())
        else:
            assert message.format == "jpeg" and bytes(message.data[:2]) == b"\xff\xd8"
            picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            assert picture.shape == expected.shape
            assert np.abs(picture.astype(int) - expected).mean() < 4


def test_when_the_last_one_has_left_no_overlay_is_computed(node: Node, computed: list[None]) -> None:
    camera = CameraPublishers(node, "camera", "mono8")
    (publisher,) = (p for p in node.publishers if p.topic_name == "/errseg/camera/overlay")
    subscription = node.create_subscription(Image, "~/camera/overlay", lambda message: None, 1)
    wait(lambda: publisher.get_subscription_count() == 1)
    camera.publish(Header(), IMAGE, RESULT, LABELS)
    node.destroy_subscription(subscription)
    wait(lambda: publisher.get_subscription_count() == 0)
    camera.publish(Header(), IMAGE, RESULT, LABELS)
    assert len(computed) == 1


def test_a_class_topic_that_cannot_be_made_leaves_out_no_other(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = CameraPublishers(node, "camera", "mono8")
    create = node.create_publisher

    def failing(message_type: Any, topic: str, *arguments: Any, **options: Any) -> Any:
        if topic.endswith("/road"):
            raise RuntimeError("rcl cannot")
        return create(message_type, topic, *arguments, **options)

    monkeypatch.setattr(node, "create_publisher", failing)
    camera.set_classes(["road", "sky"])
    made = {p.topic_name for p in node.publishers if "class_confidence" in p.topic_name}
    assert made == {"/errseg/camera/class_confidence/sky"}
    camera.set_classes(["tree"])
    made = {p.topic_name for p in node.publishers if "class_confidence" in p.topic_name}
    assert made == {"/errseg/camera/class_confidence/tree"}

"""Nav2's semantic segmentation layer as a reader: what it subscribes to, drops and takes, over real DDS.

https://github.com/kiwicampus/semantic_segmentation_layer, by its README and source: masks and confidences best effort
with depth 50, labels reliable and transient local with depth 5; mask, confidence and point cloud are joined by equal
stamps; encoding and `step` are not looked at; ids have 8 bits; names must be those of its parameters; before the first
labels every frame is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

CLASSES = ["road", "sidewalk", "traffic light", "grass"]
HEIGHT, WIDTH = 96, 128


@dataclass
class Layer:
    """Keeps what the layer keeps, and why it would drop a frame."""

    client: Any
    costs: dict[str, int]
    ids: dict[int, str] = field(default_factory=dict)
    clouds: dict[tuple[int, int], int] = field(default_factory=dict)
    """Points of each stamp."""
    masks: dict[tuple[int, int], Image] = field(default_factory=dict)
    confidences: dict[tuple[int, int], Image] = field(default_factory=dict)
    buffered: int = 0
    dropped: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    def activate(self) -> None:
        sensor = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
        latched = QoSProfile(
            depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        node = self.client.node
        for topic, messages in (("mask", self.masks), ("confidence", self.confidences)):
            node.create_subscription(Image, f"/errseg/camera/{topic}", lambda m, to=messages: self.join(m, to), sensor)
        node.create_subscription(LabelInfo, "/errseg/label_info", self.take_labels, latched)

    def take_labels(self, message: LabelInfo) -> None:
        self.unknown |= {each.class_name for each in message.class_map} - self.costs.keys()
        self.ids = {each.class_id % 256: each.class_name for each in message.class_map if each.class_name in self.costs}

    def join(self, message: Image, to: dict[tuple[int, int], Image]) -> None:
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        to[stamp] = message
        if stamp in self.masks and stamp in self.confidences and stamp in self.clouds:
            self.buffer(self.masks[stamp], self.confidences[stamp], self.clouds[stamp])

    def buffer(self, mask: Image, confidence: Image, points: int) -> None:
        size = mask.width * mask.height
        if size != points:
            self.dropped.append(f"{size} pixels, {points} points")
        elif len(mask.data) < size:
            self.dropped.append(f"{len(mask.data)} bytes for {size} pixels")
        elif not self.ids:
            self.dropped.append("no labels yet")
        else:
            # It reads data[v * width + u] of both.
            assert len(mask.data) == len(confidence.data) == size
            ids = set(mask.data[:size])
            assert ids <= self.ids.keys(), f"ids without a class: {ids - self.ids.keys()}"
            self.buffered += 1


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    names = ", ".join(CLASSES)
    with start_node(vocabulary=f"[{names}]", input_size="[64, 64]", device="cpu") as node:
        node.wait_for_log("ready")
        yield node


def test_every_frame_is_usable_to_a_layer_that_comes_late(node: Any, client: Any, image: Callable[[], Image]) -> None:
    publisher = client.publisher("/camera/image")
    client.subscribe(Image, "/errseg/camera/mask")
    client.answer(publisher, image(), "/errseg/camera/mask")  # labels were told long ago
    layer = Layer(client, dict.fromkeys(CLASSES, 0))
    layer.activate()
    client.wait_until(lambda: layer.ids, "the latched labels")

    def send() -> None:
        message = image()
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        layer.clouds[stamp] = HEIGHT * WIDTH  # a depth camera's cloud has the stamp of its picture
        publisher.publish(message)

    timer = client.node.create_timer(1 / 15, send)
    client.wait_until(lambda: layer.buffered >= 30, "30 frames")
    assert layer.dropped == [] and layer.unknown == set()
    client.node.destroy_timer(timer)  # masks and labels have no common order on their way
    client.spin(1.0)
    # Each mask with a cloud has its confidence: none waits in vain.
    assert [stamp for stamp in layer.masks if stamp in layer.clouds and stamp not in layer.confidences] == []

    # A name that comes again has its old id, so that costs that the layer has stored stay right.
    before = dict(layer.ids)
    for names in (["grass", "road"], CLASSES):
        assert client.set_vocabulary(names).successful
        client.wait_until(lambda names=names: set(layer.ids.values()) == set(names), "the new labels")
    assert layer.ids == before and layer.unknown == set() and layer.dropped == []


def test_a_class_that_the_layer_has_no_cost_for_is_what_it_complains_about(node: Any, client: Any) -> None:
    """It compares names letter by letter with its parameters: ours are told as they were typed, without synonyms."""
    layer = Layer(client, dict.fromkeys(["road", "car"], 0))
    layer.activate()
    assert client.set_vocabulary(["road", "car, automobile", "Sky"]).successful
    client.wait_until(lambda: "car" in layer.ids.values(), "the labels")
    assert "Sky" in layer.unknown and "car" not in layer.unknown

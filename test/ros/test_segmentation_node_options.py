"""errseg_node with all parameters that differ from their defaults, as its own process, over real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

MASK, SCORES = "/errseg/camera/mask", "/errseg/camera/class_scores"


def names(received: Any) -> list[str]:
    return [result.class_id for result in received.message.results]


def test_compressed_images_16_bit_masks_a_vocabulary_file_and_an_overridden_qos(
    start_node: Callable[..., Any], client: Any, compressed_image: Any, tmp_path: Any
) -> None:
    """A node with all that differs from the defaults; 1000 new names while images flow."""
    file = tmp_path / "names.yaml"
    file.write_text("- road\n- sky, heaven\n")
    settings = {
        "image_transport": "compressed",
        "vocabulary_file": str(file),
        "mask_encoding": "mono16",
        "class_confidence_encoding": "mono8",
        "input_size": "[64, 64]",
        "qos_overrides./errseg/camera/mask.publisher.reliability": "best_effort",
        "qos_overrides./errseg/camera/confidence.publisher.depth": "7",
    }
    with start_node(**settings) as node:
        node.wait_for_log("ready")
        client.subscribe_outputs()
        client.subscribe(Image, "/errseg/camera/class_confidence/sky")
        client.wait_until(lambda: client.node.get_publishers_info_by_topic(MASK), "the publisher of masks")
        (mask_publisher,) = client.node.get_publishers_info_by_topic(MASK)
        assert mask_publisher.qos_profile.reliability.name == "BEST_EFFORT"
        assert client.get_vocabulary() == ["road", "sky, heaven"]
        publisher = client.publisher("/camera/image/compressed", CompressedImage)
        scores = client.answer(publisher, compressed_image(), "/errseg/camera/class_confidence/sky")
        assert scores.message.encoding == "mono8"
        assert len(scores.message.data) == scores.message.step * scores.message.height == 128 * 96
        client.labels(["road", "sky"])
        assert client.received["/errseg/vocabulary_info"][-1].message.database_location == str(file)

        # Best effort masks do not reach the reliable subscription of this test: count scores.
        broken = compressed_image()
        broken.data = broken.data[: len(broken.data) // 2]
        publisher.publish(broken)
        client.wait_until(lambda: "image of camera dropped" in node.log(), "a line about the broken image")
        timer = client.node.create_timer(1 / 15, lambda: publisher.publish(compressed_image()))
        client.wait_until(lambda: len(client.received[SCORES]) > 5, "answers")
        before = len(client.received[SCORES])
        thousand = [f"kind of thing {number}" for number in range(1000)]
        start = time.monotonic()
        assert client.set_vocabulary(thousand).successful
        took, meanwhile = time.monotonic() - start, len(client.received[SCORES]) - before
        assert meanwhile >= min(3, took), f"{meanwhile} images in the {took:.1f} s of the change"
        labels = client.labels(thousand)
        assert list(labels.values()) == list(range(2, 1002))
        client.wait_until(lambda: names(client.received[SCORES][-1]) == thousand, "scores of the new names")
        client.node.destroy_timer(timer)

"""A bag that evaluate_bag wrote, played by replay_bag and read by an ordinary ROS node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification, LabelInfo, VisionInfo

from errseg_model.sample_drive import SampleDrive
from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.main import main
from errseg_ros.image_decoding import ids_from_image, rgb_from_compressed, rgb_from_image
from errseg_ros.sample_bag import IMAGE_TOPIC, write_sample_bag

SECONDS = 60
NAMES = ["sky", "road", "car"]
MASK, CONFIDENCE, SCORES, OVERLAY = (
    f"/errseg/camera/{name}" for name in ("mask", "confidence", "class_scores", "overlay/compressed")
)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of the sample drive, evaluated."""
    folder = tmp_path_factory.mktemp("bags")
    write_sample_bag(folder / "drive", SampleDrive(height=96, width=128, rate_hz=5, duration_s=1))
    words = ["--image-topic", IMAGE_TOPIC, "--vocabulary", "; ".join(NAMES), "--input-size", "64x96"]
    out = ["--out", str(folder / "report"), "--output-bag", str(folder / "out")]
    assert main([str(folder / "drive"), *words, "--device", "cpu", *out]) == 0
    return folder / "out"


def test_what_is_played_is_what_a_node_would_have_sent(
    bag: Path, client: Any, ros_module_environment: dict[str, str]
) -> None:
    for message_type, topic in (
        (Image, IMAGE_TOPIC),
        (Image, MASK),
        (Image, CONFIDENCE),
        (Classification, SCORES),
        (CompressedImage, OVERLAY),
    ):
        client.subscribe(message_type, topic)
    client.subscribe(LabelInfo, "/errseg/label_info", latched=True)
    client.subscribe(VisionInfo, "/errseg/vocabulary_info", latched=True)
    options = ["--topics", *client.received, "--wait-for-subscribers"]
    command = [sys.executable, "-m", "errseg_ros.replay_bag.main", str(bag), *options]
    with subprocess.Popen(command, env=ros_module_environment, stdout=subprocess.DEVNULL) as process:
        client.wait_until(lambda: process.poll() is not None, "the end of replay_bag", SECONDS)
        client.spin(0.5)
        assert process.returncode == 0
    received = {topic: [r.message for r in messages] for topic, messages in client.received.items()}
    images = received[IMAGE_TOPIC]
    assert len(images) == 5
    for topic in (MASK, CONFIDENCE, SCORES, OVERLAY):
        assert [message.header for message in received[topic]] == [message.header for message in images], topic
    (labels,) = received["/errseg/label_info"]
    assert {label.class_name: label.class_id for label in labels.class_map} == {"sky": 0, "road": 1, "car": 2}
    assert [info.method for info in received["/errseg/vocabulary_info"]] == ["errseg-lite"]
    with BagReader(bag) as reader:
        written = [reader.deserialize(message) for message in reader.messages([MASK])]
    for mask, stored in zip(received[MASK], written, strict=True):
        np.testing.assert_array_equal(ids_from_image(mask), ids_from_image(stored))
        assert set(np.unique(ids_from_image(mask))) <= {0, 1, 2}
    for scores in received[SCORES]:
        assert [result.class_id for result in scores.results] == NAMES
    for overlay, image in zip(received[OVERLAY], images, strict=True):
        assert rgb_from_compressed(overlay).shape == rgb_from_image(image).shape == (96, 128, 3)

"""evaluate_bag --live with a real node and a real replay, each a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.task import Future
from rclpy.topic_endpoint_info import TopicEndpointInfo
from vision_msgs.msg import LabelInfo

from errseg_model.sample_drive import SampleDrive
from errseg_ros.bags import make_typestore
from errseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, Messages
from errseg_ros.bags.writing import NewBag
from errseg_ros.evaluate_bag.live.listener import Listener
from errseg_ros.evaluate_bag.main import main
from errseg_ros.image_encoding import jpeg
from errseg_ros.sample_bag import IMAGE_TOPIC, LABEL_TOPIC, write_sample_bag

SECONDS = 120
BEFORE = ["sky", "road", "building", "car", "tree"]
AFTER = ["dragon", "street, road", "sky", "building"]
TOPICS = ["--image-topic", IMAGE_TOPIC, "--label-topic", LABEL_TOPIC]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of the sample drive: 40 images."""
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_sample_bag(path, SampleDrive(height=96, width=128, rate_hz=5, duration_s=8))
    return path


@pytest.fixture(scope="module")
def compressed_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One JPEG, on the topic that the node takes raw images from."""
    path = tmp_path_factory.mktemp("bags") / "compressed"
    store = make_typestore()
    messages = Messages(store)
    with NewBag(path) as bag:
        connection = bag.add_connection(IMAGE_TOPIC, COMPRESSED_IMAGE, typestore=store)
        image = messages.compressed_image(messages.header(1, "camera"), jpeg(np.zeros((96, 128, 3), np.uint8)), "jpeg")
        bag.write(connection, 1, store.serialize_cdr(image, COMPRESSED_IMAGE))
    return path


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    """A running node with a small input. It keeps K classes: held ones hang on which images it answered before."""
    with start_node(input_size="[64, 96]", min_share="0.0", vocabulary=json.dumps(BEFORE)) as process:
        process.wait_for_log("ready: waiting for")
        yield process


def test_a_node_whose_first_reply_is_lost_is_asked_again(
    ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment["ROS_DOMAIN_ID"])
    monkeypatch.setattr("errseg_ros.evaluate_bag.live.listener._ASK_AGAIN_SECONDS", 0.5)
    replies = [Future(), Future()]
    words = ParameterValue(string_array_value=BEFORE)
    size = ParameterValue(integer_array_value=[64, 96])
    replies[1].set_result(GetParameters.Response(values=[words, *[ParameterValue()] * 2, size, ParameterValue()]))
    endpoint = TopicEndpointInfo(node_name="errseg", node_namespace="/", topic_type=IMAGE)
    asked = iter(replies)
    with Listener("/errseg", "camera", IMAGE_TOPIC, IMAGE) as listener:
        monkeypatch.setattr(listener._node, "count_publishers", lambda topic: 1)
        monkeypatch.setattr(listener._node, "get_subscriptions_info_by_topic", lambda topic: [endpoint])
        monkeypatch.setattr(listener._parameters, "call_async", lambda request: next(asked))
        listener._take_labels(LabelInfo())
        assert listener.wait_for_node(10.0, lambda: False)
    assert next(asked, None) is None
    assert listener.facts is not None and listener.facts.input_size == (64, 96)


@dataclass
class Program:
    """A process and what it prints."""

    process: subprocess.Popen[str]
    log: Path

    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + SECONDS
        while text not in self.text():
            assert self.process.poll() is None and time.monotonic() < end, self.text()
            time.sleep(0.05)

    def end(self) -> int:
        return self.process.wait(SECONDS)


@pytest.fixture
def run(ros_module_environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Context manager: one of our programs in the node's domain."""

    @contextmanager
    def start(module: str, *arguments: str | Path) -> Iterator[Program]:
        log = tmp_path / f"{module.rpartition('.')[0]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                env={**ros_module_environment, "OMP_NUM_THREADS": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        try:
            yield Program(process, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    return start


EVALUATE, REPLAY = "errseg_ros.evaluate_bag.main", "errseg_ros.replay_bag.main"


def offline(drive: Path, out: Path, names: list[str]) -> pl.DataFrame:
    """The frames of an evaluation without the node."""
    words = ["--vocabulary", "; ".join(names), "--input-size", "64x96", "--min-share", "0", "--device", "cpu"]
    assert main([str(drive), *TOPICS, *words, "--out", str(out)]) == 0
    return pl.read_parquet(out / "frames.parquet")


def test_the_node_gets_the_figures_of_the_frames_that_it_answered(
    node: Any, client: Any, drive: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "live"
    with run(EVALUATE, drive, *TOPICS, "--live", "--out", out) as evaluation:
        evaluation.wait_for("now play the bag")
        # A quarter of the speed, so that a busy machine answers enough of the images.
        with run(REPLAY, drive, "--delay", "3", "--rate", "0.25", "--clock") as replay:
            client.subscribe_outputs()
            client.wait_until(lambda: len(client.received["/errseg/camera/mask"]) > 8, "nine masks", SECONDS)
            assert client.set_vocabulary(AFTER).successful
            assert replay.end() == 0
        assert evaluation.end() == 0, evaluation.text()
    assert client.set_vocabulary(BEFORE).successful

    report = json.loads((out / "report.json").read_text())
    live = report["live"]
    assert live["answered"] + live["dropped"] == live["published"] <= 40
    assert live["answered"] >= report["frames"] > 12
    assert 0 < live["seconds"] < 60
    assert [period["entries"] for period in report["vocabularies"]] == [BEFORE, AFTER]
    assert report["model"] == "errseg-lite" and report["device"] == "cpu"
    assert f"{live['answered']} of {live['published']} published images answered" in evaluation.text()

    frames = pl.read_parquet(out / "frames.parquet")
    assert set(frames["vocabulary"]) == {0, 1}
    assert frames["index"].is_sorted() and frames["latency_ms"].min() > 0
    for number, names in enumerate((BEFORE, AFTER)):
        expected = offline(drive, tmp_path / f"offline{number}", names)
        answered = frames.filter(pl.col("vocabulary") == number)
        same = answered.join(expected, on="stamp_ns", how="left", suffix=" offline", maintain_order="left")
        assert len(answered) > 2
        shares = [f"share: {name.partition(',')[0]}" for name in names]
        for column in ("index", "seconds", "unlabelled", "pixel_accuracy", "miou", *shares):
            # The same masks, so the same figures to the last bit.
            assert same[column].to_list() == same[f"{column} offline"].to_list(), column
        difference = (same["confidence"] - same["confidence offline"]).abs().max()
        assert difference <= 1 / 255  # the node sends it in 8 bits


def test_a_second_loop_counts_as_traffic_and_ctrl_c_ends_it_well(
    node: Any, client: Any, drive: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "live"
    with run(EVALUATE, drive, *TOPICS, "--live", "--out", out) as evaluation:
        evaluation.wait_for("now play the bag")
        client.subscribe_outputs()
        masks = client.received["/errseg/camera/mask"]
        with run(REPLAY, drive, "--loop", "--rate", "4") as replay:
            # The bag has 40 images; on a busy machine the evaluation misses some of what comes here.
            client.wait_until(lambda: len(masks) > 100, "more answers than the bag has images", SECONDS)
            evaluation.process.send_signal(signal.SIGINT)
            assert evaluation.end() == 0, evaluation.text()
            replay.process.send_signal(signal.SIGINT)
            assert replay.end() == 0
    report = json.loads((out / "report.json").read_text())
    assert report["live"]["published"] > 40 >= report["frames"]
    assert any("were played again" in note for note in report["notes"])
    assert any("Ctrl-C" in note for note in report["notes"])


COMPRESSED = "-p image_transport:=compressed -r camera/image/compressed:="


@pytest.mark.parametrize(
    ("bag", "words", "problem"),
    [
        ("drive", ["--node", "/nobody"], "no active errseg_node named /nobody is running: start it with"),
        (
            "drive",
            ["--live-topic", "/front/image"],
            f"listen to /front/image, but to {IMAGE_TOPIC}: start it with `-r camera/image:=/front/image`",
        ),
        (
            "compressed_drive",
            ["--node", "/nobody"],
            f"start it with `errseg_node --ros-args {COMPRESSED}{IMAGE_TOPIC}`",
        ),
        (
            "compressed_drive",
            ["--live-topic", "/front"],
            f"listen to /front, but to {IMAGE_TOPIC}: start it with `{COMPRESSED}/front`",
        ),
        (
            "compressed_drive",
            [],
            f"node /errseg listens to {IMAGE_TOPIC} for sensor_msgs/msg/Image, and the bag's images are "
            f"sensor_msgs/msg/CompressedImage: start it with `{COMPRESSED}{IMAGE_TOPIC}`",
        ),
    ],
)
def test_a_node_that_cannot_be_evaluated_is_one_line_that_says_what_to_do(
    node: Any,
    run: Callable[..., Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    bag: str,
    words: list[str],
    problem: str,
) -> None:
    path = request.getfixturevalue(bag)
    topic = ["--image-topic", IMAGE_TOPIC]
    with run(EVALUATE, path, *topic, "--live", "--wait", "8", *words, "--out", tmp_path / "live") as evaluation:
        assert evaluation.end() == 2
        assert evaluation.text().count("\n") == 1 and problem in evaluation.text()
    assert not (tmp_path / "live").exists()


def test_ctrl_c_before_the_first_image_leaves_nothing(
    node: Any, drive: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    with run(EVALUATE, drive, *TOPICS, "--live", "--out", tmp_path / "live") as evaluation:
        evaluation.wait_for("now play the bag")
        evaluation.process.send_signal(signal.SIGINT)
        assert evaluation.end() == 130
        assert "nothing to report" in evaluation.text() and "Traceback" not in evaluation.text()
    assert not (tmp_path / "live").exists()

"""replay_bag as a process of its own, heard over DDS."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String
from vision_msgs.msg import LabelInfo

from errseg_model.sample_drive import CLASSES, SampleDrive
from errseg_ros.bags import BagReader, make_typestore
from errseg_ros.replay_bag.main import main
from errseg_ros.sample_bag import CAMERA_INFO_TOPIC, IMAGE_TOPIC, LABEL_INFO_TOPIC, LABEL_TOPIC, write_sample_bag

SECONDS = 60


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the sample drive: 20 images."""
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_sample_bag(path, SampleDrive(height=96, width=128, duration_s=2.0))
    return path


@pytest.fixture
def replay(ros_module_environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Context manager: replay_bag with arguments, as a process."""

    @contextmanager
    def run(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "errseg_ros.replay_bag.main", *map(str, arguments)],
            env=ros_module_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    return run


def finish(client: Any, process: subprocess.Popen[str]) -> tuple[str, str]:
    """Handle messages until the process ends, well. Returns what it printed."""
    client.wait_until(lambda: process.poll() is not None, "the end of replay_bag", SECONDS)
    client.spin(0.5)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output, errors


def test_messages_arrive_byte_for_byte_in_their_order(bag: Path, replay: Any, client: Any) -> None:
    types = {IMAGE_TOPIC: Image, CAMERA_INFO_TOPIC: CameraInfo, LABEL_TOPIC: Image, LABEL_INFO_TOPIC: LabelInfo}
    received: dict[str, list[bytes]] = {topic: [] for topic in types}
    for topic, message_type in types.items():
        client.node.create_subscription(message_type, topic, received[topic].append, 100, raw=True)
    with replay(bag, "--wait-for-subscribers") as process:
        output, errors = finish(client, process)
    assert "played 61 messages of 4 topics in " in output and "99th percentile" in output
    assert errors == ""
    with BagReader(bag) as reader:
        for topic, messages in received.items():
            recorded = [message.data for message in reader.messages([topic])]
            assert len(messages) == len(recorded)
            for message, original in zip(messages, recorded, strict=True):
                # The middleware fills the last word up, and says so in its own four bytes at the start.
                assert message[4 : len(original)] == original[4:] and len(message) - len(original) < 4


def test_topics_without_messages_are_not_waited_for(tmp_path: Path, replay: Any, client: Any) -> None:
    store = make_typestore()
    with Writer(tmp_path / "drive", version=9) as writer:
        texts, _ = (writer.add_connection(name, "std_msgs/msg/String", typestore=store) for name in ("/text", "/empty"))
        text = store.types["std_msgs/msg/String"]("word")
        writer.write(texts, 1, store.serialize_cdr(text, "std_msgs/msg/String"))
    client.subscribe(String, "/text")
    with replay(tmp_path / "drive", "--wait-for-subscribers") as process:
        output, _ = finish(client, process)
    assert "/empty" not in output and "played 1 messages" in output


def test_a_topic_with_messages_is_waited_for_beside_an_empty_one_of_its_name(
    tmp_path: Path, replay: Any, client: Any
) -> None:
    store = make_typestore()
    with Writer(tmp_path / "drive", version=9) as writer:
        texts, _ = (writer.add_connection(name, "std_msgs/msg/String", typestore=store) for name in ("/text", "/empty"))
        text = store.types["std_msgs/msg/String"]("word")
        writer.write(texts, 1, store.serialize_cdr(text, "std_msgs/msg/String"))
    with replay(tmp_path / "drive", "--wait-for-subscribers", "-m", "/empty:=/text") as process:
        client.spin(3.0)
        assert process.poll() is None
        client.subscribe(String, "/text")
        output, _ = finish(client, process)
    assert "waiting for subscribers to /text" in output and "played 1 messages" in output


def test_images_keep_their_distance_in_time(bag: Path, replay: Any, client: Any) -> None:
    client.subscribe(CameraInfo, CAMERA_INFO_TOPIC)
    with replay(bag, "--wait-for-subscribers", "--rate", "0.5", "--topics", CAMERA_INFO_TOPIC) as process:
        finish(client, process)
    written = np.array([received.written for received in client.received[CAMERA_INFO_TOPIC]]) / 1e9
    assert len(written) == 20
    # 1.9 s at half the rate; the median of the steps bears a pause or two of a busy machine.
    assert np.median(np.diff(written)) == pytest.approx(0.2, abs=0.05)
    assert written[-1] - written[0] > 3.3


def test_a_latched_topic_reaches_who_comes_late(bag: Path, replay: Any, client: Any) -> None:
    with replay(bag, "--rate", "0.1") as process:
        client.spin(3)
        assert process.poll() is None
        client.subscribe(LabelInfo, LABEL_INFO_TOPIC, latched=True)
        client.wait_until(lambda: client.received[LABEL_INFO_TOPIC], "the label_info", SECONDS)
    assert client.received[LABEL_INFO_TOPIC][0].message.class_map[0].class_name == CLASSES[0]


def test_it_waits_for_subscribers_where_asked_to(bag: Path, replay: Any, client: Any) -> None:
    with replay(bag, "--topics", IMAGE_TOPIC, CAMERA_INFO_TOPIC, "--wait-for-subscribers") as process:
        client.subscribe(Image, IMAGE_TOPIC)
        client.spin(5)
        assert process.poll() is None and not client.received[IMAGE_TOPIC]
        client.subscribe(CameraInfo, CAMERA_INFO_TOPIC)
        output, _ = finish(client, process)
    assert f"waiting for subscribers to {CAMERA_INFO_TOPIC}\n" in output
    assert len(client.received[IMAGE_TOPIC]) == len(client.received[CAMERA_INFO_TOPIC]) == 20


def test_topics_can_be_chosen_and_renamed(bag: Path, replay: Any, client: Any) -> None:
    client.subscribe(Image, "/front/image")
    client.subscribe(Image, IMAGE_TOPIC)
    rule = f"{IMAGE_TOPIC}:=/front/image"
    with replay(bag, "--wait-for-subscribers", "-r", "10", "--topics", IMAGE_TOPIC, "-m", rule) as process:
        output, _ = finish(client, process)
    assert "played 20 messages of 1 topics" in output
    assert len(client.received["/front/image"]) == 20 and not client.received[IMAGE_TOPIC]


def test_the_clock_is_that_of_the_bag_and_jumps_back_with_each_loop(bag: Path, replay: Any, client: Any) -> None:
    client.subscribe(Clock, "/clock", depth=1000)
    with BagReader(bag) as reader:
        start = reader.start_ns

    def times() -> list[float]:
        clocks = (received.message.clock for received in client.received["/clock"])
        return [(clock.sec * 10**9 + clock.nanosec - start) / 1e9 for clock in clocks]

    with replay(bag, "--clock", "--loop", "--rate", "2") as process:
        client.wait_until(lambda: (np.diff(times()) < 0).sum() >= 2, "the third loop", SECONDS)
        process.send_signal(signal.SIGINT)
        output, _ = finish(client, process)
    assert re.match(r"interrupted: played \d+ messages of 4 topics in [3-9]\d* loops in ", output)
    seen = np.array(times())
    assert seen.min() >= 0 and seen.max() < 3
    jumps = np.flatnonzero(np.diff(seen) < 0)
    assert (seen[jumps] > 1.5).all() and (seen[jumps + 1] < 0.5).all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_with_a_summary(bag: Path, replay: Any, client: Any, number: signal.Signals) -> None:
    client.subscribe(CameraInfo, CAMERA_INFO_TOPIC)
    with replay(bag, "--rate", "0.1") as process:
        client.wait_until(lambda: client.received[CAMERA_INFO_TOPIC], "a message", SECONDS)
        process.send_signal(number)
        output, errors = finish(client, process)
    assert output.startswith("interrupted: played ") and errors == ""


def test_of_a_bag_that_is_cut_off_what_can_be_read_is_played(
    bag: Path, replay: Any, client: Any, tmp_path: Path
) -> None:
    cut = shutil.copytree(bag, tmp_path / "cut")
    (file,) = cut.glob("*.mcap")
    os.truncate(file, file.stat().st_size // 2)
    client.subscribe(Image, IMAGE_TOPIC)
    with replay(cut, "--rate", "10", "--topics", IMAGE_TOPIC, "--wait-for-subscribers") as process:
        output, errors = finish(client, process)
    assert "played " in output
    assert 0 < len(client.received[IMAGE_TOPIC]) < 20
    assert errors.count("\n") == 1 and errors.startswith("replay_bag: warning: ") and "damaged" in errors


def test_several_bags_are_played_together_by_their_times(replay: Any, client: Any, tmp_path: Path) -> None:
    store = make_typestore()
    stamp = store.types["builtin_interfaces/msg/Time"]
    for name, milliseconds in (("a", (0, 200, 400)), ("b", (100, 300, 500))):
        with Writer(tmp_path / name, version=9) as writer:
            connection = writer.add_connection(f"/{name}", "builtin_interfaces/msg/Time", typestore=store)
            for ms in milliseconds:
                data = store.serialize_cdr(stamp(sec=ms, nanosec=0), "builtin_interfaces/msg/Time")
                writer.write(connection, 10**18 + ms * 10**6, data)
    from builtin_interfaces.msg import Time

    client.subscribe(Time, "/a")
    client.subscribe(Time, "/b")
    with replay(tmp_path / "b", tmp_path / "a", "--wait-for-subscribers") as process:
        finish(client, process)
    received = [*client.received["/a"], *client.received["/b"]]
    assert [r.message.sec for r in sorted(received, key=lambda r: r.written)] == [0, 100, 200, 300, 400, 500]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "bag nowhere does not exist"),
        (["BAG", "--topics", "/radar"], "no topic '/radar' in the bag; it has /camera/camera_info, /camera/image"),
        (["BAG", "--remap", "/camera/image:=/a b"], "no full topic name"),
        ([__file__], "is no rosbag2"),
    ],
)
def test_wrong_input_is_one_line(
    bag: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str], keep_signals: None
) -> None:
    assert main([str(bag) if word == "BAG" else word for word in arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and errors.startswith("replay_bag: ") and problem in errors


@pytest.mark.parametrize("words", [["--rate", "0"], ["--rate", "nan"], ["--rate", "11"], ["--remap", "/a"], []])
def test_wrong_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bag", *words] if words else [])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def keep_signals() -> Iterator[None]:
    """main takes SIGINT and SIGTERM: give them back to pytest."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_it_is_fast_enough_for_a_camera_of_720p_at_30_hz(replay: Any, client: Any, tmp_path: Path) -> None:
    """By what it says of itself: the subscriber of a busy test machine may be slower."""
    store = make_typestore()
    header = store.types["std_msgs/msg/Header"](stamp=store.types["builtin_interfaces/msg/Time"](1, 0), frame_id="")
    image = store.types["sensor_msgs/msg/Image"](header, 720, 1280, "rgb8", 0, 3840, np.zeros(720 * 1280 * 3, np.uint8))
    data = store.serialize_cdr(image, "sensor_msgs/msg/Image")
    with Writer(tmp_path / "hd", version=9) as writer:
        connection = writer.add_connection(IMAGE_TOPIC, "sensor_msgs/msg/Image", typestore=store)
        for number in range(90):
            writer.write(connection, 10**18 + number * 33_333_333, data)
    start = time.monotonic()
    with replay(tmp_path / "hd") as process:
        output, _ = finish(client, process)
    assert output.startswith("played 90 messages")
    assert time.monotonic() - start < 30  # 3 s of it are the bag

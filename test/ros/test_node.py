"""The process: its start, its end and its exit status."""

from __future__ import annotations

import functools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MASK = "/errseg/camera/mask"
END_SECONDS = 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "vocabulary:=[road, Road]"], "parameter vocabulary: entry 2: 'Road' is the same name"),
        (["-p", "checkpoint:=/nowhere.pth"], "checkpoint /nowhere.pth"),
        (["--params-file", "/nowhere.yaml"], "wrong arguments"),
        (["-p", "use_sim_time:=3"], "use_sim_time"),
        (["-r", "__node:=a name"], "a name"),
    ],
    ids=["vocabulary", "checkpoint", "params-file", "a parameter of rclpy", "name"],
)
def test_what_is_wrong_at_start_is_one_line_and_exit_status_1(
    running_node: Any, ros_environment: dict[str, str], tmp_path: Any, arguments: list[str], message: str
) -> None:
    with running_node(ros_environment, tmp_path, *arguments) as node:
        assert node.process.wait(90) == 1
        (line,) = (line for line in node.log().splitlines() if message in line)
        assert "[FATAL]" in line
        assert "Traceback" not in node.log()


def test_what_is_no_argument_of_ros_is_not_ignored(ros_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "errseg_ros.node"]
    run = functools.partial(subprocess.run, env=ros_environment, capture_output=True, text=True, timeout=90)
    helped = run([*command, "--help"])
    assert (helped.returncode, helped.stdout.split()[:2]) == (0, ["usage:", "errseg_node"])
    refused = run([*command, "--model", "errseg-b", "--ros-args", "-p", "cameras:=[a]"])
    assert refused.returncode == 1 and "unknown arguments --model errseg-b" in refused.stdout + refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_while_the_model_is_loaded_ends_it(start_node: Callable[..., Any], number: signal.Signals) -> None:
    with start_node() as node:
        node.wait_for_log("loading errseg-lite")
        status, seconds = node.end(number)
        assert (status, "Traceback" in node.log()) == (0, False), node.log()
        assert seconds < END_SECONDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_although_an_image_and_new_names_are_being_computed(
    start_node: Callable[..., Any], client: Any, image: Callable[..., Any], number: signal.Signals
) -> None:
    # An input that takes many seconds on a CPU, and names that do.
    with start_node(input_size="[1536, 1536]", device="cpu", mask_encoding="mono16") as node:
        node.wait_for_log("ready")
        client.subscribe_outputs()
        publisher = client.publisher("/camera/image")
        client.answer(publisher, image(), MASK, 120)  # images reach it

        def both_are_in_work(attempt: int) -> bool:
            reply = client.set_vocabulary_without_waiting([f"{attempt} thing number {i}" for i in range(1000)])
            for _ in range(3):
                publisher.publish(message := image())
                client.spin(0.2)
            answered = [mask.message.header.stamp for mask in client.received[MASK]]
            return not reply.done() and message.header.stamp not in answered

        assert any(both_are_in_work(attempt) for attempt in range(10)), "image or names are computed too quickly"
        start = time.monotonic()
        status, _ = node.end(number)
        assert (status, "Traceback" in node.log()) == (0, False), node.log()
        assert time.monotonic() - start < END_SECONDS


def test_a_model_that_is_loaded_after_the_end_does_not_crash_the_process(ros_environment: dict[str, str]) -> None:
    # rclpy's state machine reads memory that `destroy_node` has freed when a transition goes on after it.
    end_while_loading = """
import threading

import rclpy

from errseg_ros import segmentation_node

loading, loaded = threading.Event(), threading.Event()

def load(values):
    loading.set()
    loaded.wait()
    raise RuntimeError("too late")

segmentation_node._load = load
rclpy.init()
node = segmentation_node.SegmentationNode()
thread = threading.Thread(target=node.autostart, daemon=True)
thread.start()
loading.wait()
stopped = node.stop(0.1)
node.destroy_node()
loaded.set()
thread.join(1)
print("stopped" if stopped else "still loading")
"""
    done = subprocess.run(
        [sys.executable, "-c", end_while_loading], env=ros_environment, capture_output=True, text=True, timeout=90
    )
    assert (done.returncode, done.stdout) == (0, "still loading\n"), done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("autostart", ["true", "false"])
def test_its_end_leaves_no_shared_memory_behind(
    start_node: Callable[..., Any], autostart: str, number: signal.Signals
) -> None:
    with start_node(autostart=autostart) as node:
        node.wait_for_log("ready" if autostart == "true" else "waiting to be configured")
        maps = Path(f"/proc/{node.process.pid}/maps").read_text()
        segments = {Path(found) for found in re.findall(r"/dev/shm/fastdds_[0-9a-f]+$", maps, re.MULTILINE)}
        assert segments and all(segment.exists() for segment in segments)
        status, _ = node.end(number)
        assert status == 0
        assert not [segment for segment in segments if segment.exists()]


def test_a_start_that_fails_leaves_no_shared_memory_behind(
    running_node: Any, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    def segments() -> set[str]:
        return {path.name for path in Path("/dev/shm").iterdir() if re.fullmatch("fastdds_[0-9a-f]+", path.name)}

    before = segments()
    with running_node(ros_environment, tmp_path, "-p", "vocabulary:=[road, Road]") as node:
        assert node.process.wait(90) == 1
    assert segments() <= before

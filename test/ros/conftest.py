"""The node as a process of its own, and a ROS client in the test's process that talks to it."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification, LabelInfo, VisionInfo

START_SECONDS = 90  # PyTorch takes its time on a busy machine
ANSWER_SECONDS = 20
HEIGHT, WIDTH = 96, 128


@dataclass(frozen=True)
class Received:
    """A message and when it was written, in nanoseconds of the writer's clock."""

    message: Any
    written: int

    @property
    def stamp(self) -> int:
        """The header's stamp in nanoseconds."""
        return self.message.header.stamp.sec * 10**9 + self.message.header.stamp.nanosec


@dataclass
class NodeProcess:
    """A running errseg_node."""

    process: subprocess.Popen[str]
    log_path: Path

    def log(self) -> str:
        """All that it has printed."""
        return self.log_path.read_text()

    def wait_for_log(self, text: str, seconds: float = START_SECONDS) -> None:
        """Wait until it has printed `text`."""
        end = time.monotonic() + seconds
        while text not in self.log():
            assert self.process.poll() is None, f"the node ended:\n{self.log()}"
            assert time.monotonic() < end, f"no {text!r} in time:\n{self.log()}"
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal. Returns the exit status and the seconds until the process was gone."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(10), time.monotonic() - start


@dataclass
class Client:
    """What a user of the node has: publishers, subscriptions and the parameter services."""

    node: Any
    executor: SingleThreadedExecutor
    received: dict[str, list[Received]] = field(default_factory=dict)

    def subscribe(self, message_type: type, topic: str, *, latched: bool = False, depth: int = 100) -> Any:
        """Collect a topic's messages in `received[topic]`."""
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
        messages = self.received.setdefault(topic, [])
        messages.clear()

        def keep(message: Any, info: Any) -> None:
            messages.append(Received(message, info["source_timestamp"]))

        return self.node.create_subscription(message_type, topic, keep, profile)

    def subscribe_outputs(self, camera: str = "camera") -> None:
        """Collect what the node publishes for a camera, and its labels."""
        self.subscribe(Image, f"/errseg/{camera}/mask")
        self.subscribe(Image, f"/errseg/{camera}/confidence")
        self.subscribe(Classification, f"/errseg/{camera}/class_scores")
        self.subscribe(LabelInfo, "/errseg/label_info", latched=True)
        self.subscribe(VisionInfo, "/errseg/vocabulary_info", latched=True)

    def publisher(self, topic: str, message_type: type = Image) -> Any:
        """A publisher that the node listens to."""
        publisher = self.node.create_publisher(message_type, topic, 1)
        self.wait_until(lambda: publisher.get_subscription_count() > 0, f"a subscription to {topic}")
        return publisher

    def spin(self, seconds: float) -> None:
        """Handle messages for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def wait_until(self, done: Callable[[], Any], what: str, seconds: float = ANSWER_SECONDS) -> None:
        """Handle messages until `done`."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def answer(self, publisher: Any, message: Any, topic: str, seconds: float = ANSWER_SECONDS) -> Received:
        """Publish an image until `topic` has the output with its stamp (best effort may lose some)."""
        stamp = Received(message, 0).stamp
        found: list[Received] = []

        def arrived() -> bool:
            found.extend(received for received in self.received[topic] if received.stamp == stamp)
            return bool(found)

        end = time.monotonic() + seconds
        while not arrived():
            assert time.monotonic() < end, f"no {topic} within {seconds} s"
            publisher.publish(message)
            self.spin(0.2)
        return found[0]

    def call(self, service_type: Any, name: str, request: Any) -> Any:
        """The answer of a service of the node.

        What changes nothing is asked again: rmw_fastrtps drops the answer to a client that the server has not
        discovered within 100 ms, and a client is not told when it has.
        """
        client = self.node.create_client(service_type, name)
        again = 5.0 if service_type.__name__.startswith(("Get", "List", "Describe")) else math.inf
        futures: list[Any] = []

        def answered() -> bool:
            if time.monotonic() >= asked + again * len(futures):
                futures.append(client.call_async(request))
            return any(future.done() for future in futures)

        try:
            self.wait_until(client.service_is_ready, name)
            asked = time.monotonic()
            futures.append(client.call_async(request))
            self.wait_until(answered, f"an answer of {name}", 60)
            return next(future.result() for future in futures if future.done())
        finally:
            self.node.destroy_client(client)

    def set(self, **values: Any) -> list[Any]:
        """Set parameters one by one over the standard service; a result each."""
        request = SetParameters.Request(parameters=_parameters(values))
        return list(self.call(SetParameters, "/errseg/set_parameters", request).results)

    def set_vocabulary(self, names: Sequence[str]) -> Any:
        """Change the vocabulary; the one result."""
        return self.set(vocabulary=list(names))[0]

    def set_vocabulary_without_waiting(self, names: Sequence[str]) -> Any:
        """Ask for another vocabulary and do not wait; the future of the answer."""
        client = self.node.create_client(SetParameters, "/errseg/set_parameters")
        self.wait_until(client.service_is_ready, "the parameter service")
        return client.call_async(SetParameters.Request(parameters=_parameters({"vocabulary": list(names)})))

    def set_atomically(self, **values: Any) -> Any:
        """Set parameters as one change; the one result."""
        request = SetParametersAtomically.Request(parameters=_parameters(values))
        return self.call(SetParametersAtomically, "/errseg/set_parameters_atomically", request).result

    def get_vocabulary(self) -> list[str]:
        """The parameter `vocabulary`."""
        request = GetParameters.Request(names=["vocabulary"])
        answer = self.call(GetParameters, "/errseg/get_parameters", request)
        return list(answer.values[0].string_array_value)

    def labels(self, names: Sequence[str]) -> dict[str, int]:
        """Ids by name, once label_info holds `names`."""

        def last() -> dict[str, int]:
            messages = self.received["/errseg/label_info"]
            return {c.class_name: c.class_id for c in messages[-1].message.class_map} if messages else {}

        self.wait_until(lambda: list(last()) == list(names), f"labels {', '.join(names[:5])}")
        return last()


def _parameters(values: dict[str, Any]) -> list[Any]:
    return [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]


@pytest.fixture
def image() -> Callable[..., Image]:
    """Makes rgb8 images with a stamp of their own each."""
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 5)
    stamps = iter(range(time.time_ns(), 2**62, 1000))

    def make(frame_id: str = "front_optical") -> Image:
        message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        message.data = array("B", pixels.tobytes())
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(next(stamps), 10**9)
        message.header.frame_id = frame_id
        return message

    return make


@pytest.fixture
def compressed_image(image: Callable[..., Image]) -> Callable[..., CompressedImage]:
    """Makes JPEG images with a stamp of their own each."""

    def make() -> CompressedImage:
        raw = image()
        pixels = np.frombuffer(raw.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
        return CompressedImage(header=raw.header, format="rgb8; jpeg compressed bgr8", data=jpeg.tobytes())

    return make


@pytest.fixture(scope="session")
def running_node() -> Callable[..., Any]:
    """Context manager: errseg_node in an environment, with its log in a folder and with ROS arguments."""
    return _running_node


@contextmanager
def _running_node(
    environment: dict[str, str], folder: Path, *arguments: str, program: Sequence[str] = ("-m", "errseg_ros.node")
) -> Iterator[NodeProcess]:
    """errseg_node with ROS arguments, not yet ready; killed at the end if it still runs.

    `program` is what Python is to run in its place. It leads a process group of its own.
    """
    log_path = folder / "node.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *program, "--ros-args", *arguments],
            env={**environment, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield NodeProcess(process, log_path)
        finally:
            if process.poll() is None:  # a process that is killed leaves its shared memory, 70 MB, behind
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@pytest.fixture(scope="module")
def start_node(ros_module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Context manager that runs errseg_node, or another program that is one, with `-p` settings."""

    def start(program: Sequence[str] = ("-m", "errseg_ros.node"), **settings: str) -> Any:
        arguments = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
        return _running_node(ros_module_environment, tmp_path_factory.mktemp("node"), *arguments, program=program)

    return start


@pytest.fixture
def client(ros_module_environment: dict[str, str]) -> Iterator[Client]:
    """A client in the domain of the module's node."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOG_DIR"):
            patch.setenv(name, ros_module_environment[name])
        context = Context()
        rclpy.init(context=context, domain_id=int(ros_module_environment["ROS_DOMAIN_ID"]))
        node = rclpy.create_node("test_client", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        yield Client(node, executor)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)

"""The cameras: a process that publishes 8 bit RGB images at a steady rate, each with the time as its stamp.

Every image is serialised once. Only its stamp is written anew, so that the publisher costs the machine little.
"""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from errseg_model.sample_drive import SampleDrive
from errseg_ros import qos
from errseg_ros.image_messages import image_message
from errseg_ros.node_process import NodeProcess
from errseg_ros.ros_time import SECOND

SIZE = (720, 1280)
"""(height, width) of the images."""

_STAMP = slice(4, 12)  # in the message: after the encapsulation header, seconds and nanoseconds
_READY = "the cameras are ready"


class SerializedImage:
    """A sensor_msgs/Image in the middleware's own form."""

    def __init__(self, message: Image) -> None:
        """`message` may be dropped afterwards."""
        data = serialize_message(message)
        self._head, self._tail = data[: _STAMP.start], data[_STAMP.stop :]
        self._format = "<iI" if data[1] & 1 else ">iI"

    def stamped(self, stamp_ns: int) -> bytes:
        """The message with this stamp in its header."""
        return self._head + struct.pack(self._format, *divmod(stamp_ns, SECOND)) + self._tail


@dataclass(frozen=True)
class Published:
    """What the cameras did."""

    images: int
    """Of all cameras."""
    hz: float
    """Of each camera."""


def cameras_process(cameras: tuple[str, ...], rate: float, log: Path) -> NodeProcess:
    """Start the process, which publishes `rate` images a second for each camera until it is stopped."""
    return NodeProcess({"cameras": list(cameras), "rate": float(rate)}, log, module=__name__)


def read_published(log: Path) -> Published:
    """What a process that was stopped said at its end."""
    return Published(**json.loads(log.read_text(encoding="utf-8").splitlines()[-1]))


def street_image(seed: int) -> Image:
    """A street of the sample drive, another for each seed."""
    frame = SampleDrive(seed, *SIZE, rate_hz=1.0, duration_s=4.0).frame(3)
    return image_message(Header(frame_id="camera"), frame.image)


def main() -> None:
    """Publish until SIGTERM; the last line of output tells what."""
    rclpy.init()
    node = Node("cameras")
    cameras: Any = node.declare_parameter("cameras", ["camera"]).value
    rate: Any = node.declare_parameter("rate", 30.0).value
    publishers: list[Any] = [node.create_publisher(Image, f"{name}/image", qos.image_input()) for name in cameras]
    images = [SerializedImage(street_image(seed)) for seed in range(len(cameras))]
    print(_READY, flush=True)
    began = time.monotonic()
    count = 0
    try:
        while rclpy.ok():
            left = began + count / (rate * len(cameras)) - time.monotonic()
            if left > 0:
                time.sleep(left)
            camera = count % len(cameras)
            publishers[camera].publish(images[camera].stamped(time.time_ns()))
            count += 1
    except (KeyboardInterrupt, ExternalShutdownException, RuntimeError):  # the last: taken down while publishing
        pass
    seconds = time.monotonic() - began
    print(json.dumps({"images": count, "hz": round(count / seconds / len(cameras), 2)}), flush=True)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()

"""What the node adds to the model: from the image's callback to the publication of its mask and confidence."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification

from errseg_ros import qos
from errseg_ros.benchmark_node.probe import Marks, read_marks
from errseg_ros.benchmark_node.traffic import SerializedImage, cameras_process, street_image
from errseg_ros.client import ANSWER_SECONDS, Client
from errseg_ros.node_process import NodeProcess
from errseg_ros.ros_time import SECOND, stamp_ns

RATE = 30.0
"""Of the camera that flows, in Hz."""

STAGES = {
    "hand-over to the worker": ("received", "taken"),
    "decode": ("taken", "decoded"),
    "terms": ("decoded", "model starts"),
    "result": ("model ends", "mask starts"),
    "mask message": ("mask starts", "mask made"),
    "mask publish": ("mask made", "mask published"),
    "confidence message": ("mask published", "confidence made"),
    "confidence publish": ("confidence made", "confidence published"),
}
"""Without a gap but for the model (`Segmenter.segment`), from the callback to the publication of the confidence."""

AFTERWARDS = {"class scores": ("confidence published", "class_scores published")}

_WARM_UP = 5
_LOST_SECONDS = 10.0  # an image may be lost on its way: it is best effort
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Overhead:
    """Of some images, in ms."""

    images: int
    median_ms: float
    p90_ms: float
    stages_ms: dict[str, float]
    """Medians of what the overhead consists of."""
    afterwards_ms: dict[str, float]
    """Medians of what follows the publication of the confidence."""
    model_ms: float
    """Median of what is left out."""
    travelled_ms: float
    """Median from the image's stamp to its callback: middleware, and rclpy's conversion of the message."""

    @classmethod
    def of(cls, marks: Sequence[Marks], *, without: Sequence[str] = ()) -> Overhead:
        """Leaves out the stages `without`, and the images of the warm-up."""
        marks = marks[_WARM_UP:]
        stages = {name: place for name, place in STAGES.items() if name not in without}
        totals = [sum(_ms(image, *place) for place in stages.values()) for image in marks]
        return cls(
            images=len(marks),
            median_ms=statistics.median(totals),
            p90_ms=float(np.percentile(totals, 90)),
            stages_ms=_medians(marks, stages),
            afterwards_ms=_medians(marks, AFTERWARDS),
            model_ms=statistics.median(_ms(image, "model starts", "model ends") for image in marks),
            travelled_ms=statistics.median(1000 * image["travelled"] for image in marks),
        )


def _ms(image: Marks, start: str, end: str) -> float:
    return 1000 * (image[end] - image[start])


def _medians(marks: Sequence[Marks], stages: dict[str, tuple[str, str]]) -> dict[str, float]:
    return {name: statistics.median(_ms(image, *place) for image in marks) for name, place in stages.items()}


def measure_overhead(folder: Path, images: int, node_parameters: dict[str, Any]) -> dict[str, Overhead]:
    """Of that many images each, shown one at a time and at 30 Hz. Logs go to `folder`.

    At 30 Hz an image waits for the one before it, which is the model's time: the hand-over is left out there.
    """
    one, flowing = folder / "overhead_one.log", folder / "overhead_flowing.log"
    with NodeProcess(node_parameters, one, module="errseg_ros.benchmark_node.probe") as node, _listener(node) as client:
        _show_one_at_a_time(client, images + _WARM_UP)
    with (
        NodeProcess(node_parameters, flowing, module="errseg_ros.benchmark_node.probe") as node,
        cameras_process(("camera",), RATE, folder / "overhead_cameras.log"),
        _listener(node) as client,
    ):
        client.wait(
            lambda: len(read_marks(flowing)) >= images + _WARM_UP,
            ANSWER_SECONDS + 2.0 * images,
            f"errseg_node has not answered {images} images",
        )
    hand_over = "hand-over to the worker"
    return {
        "one at a time": Overhead.of(read_marks(one)),
        f"at {RATE:.0f} Hz, without the hand-over": Overhead.of(read_marks(flowing), without=[hand_over]),
    }


def _listener(node: NodeProcess) -> Client:
    """Takes what the node publishes, as its users would."""
    client = Client(node)
    for name, message_type in (("mask", Image), ("confidence", Image)):
        client.subscribe(message_type, f"camera/{name}", lambda message, written: None)
    return client


def _show_one_at_a_time(client: Client, images: int) -> None:
    answered: set[int] = set()

    def answer(message: Classification, written_ns: int) -> None:
        answered.add(stamp_ns(message.header))

    client.subscribe(Classification, "camera/class_scores", answer)
    camera: Any = client.node.create_publisher(Image, "camera/image", qos.image_input())
    client.wait_until_ready()
    client.wait(lambda: camera.get_subscription_count() > 0, ANSWER_SECONDS, "errseg_node does not listen to images")
    image = SerializedImage(street_image(0))
    for _ in range(images):
        shown: list[int] = []
        deadline = time.monotonic() + ANSWER_SECONDS
        while not answered.intersection(shown):
            if time.monotonic() > deadline:
                raise client.watch.error(f"no answer to an image within {ANSWER_SECONDS:.0f} s")
            if not shown or time.time_ns() - shown[-1] > _LOST_SECONDS * SECOND:
                shown.append(time.time_ns())
                camera.publish(image.stamped(shown[-1]))
            client.spin_once(0.05)
        client.spin(_PAUSE_SECONDS)

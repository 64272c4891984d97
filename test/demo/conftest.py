"""Small sources, and a replay that is made up, for the tests of the demo."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary
from errseg_ros.demo.frames import Frame, Source
from errseg_ros.demo.recording import Answer, Recording
from errseg_ros.ros_time import SECOND

HEIGHT, WIDTH = 96, 128

BEFORE = Vocabulary.from_argument("sky; road")
AFTER = Vocabulary.from_argument("street; sky; dragon")
PICTURE = (60, 800)

BagWriter = Callable[..., Path]


def grey(value: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of one grey, which survives any codec."""
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[[Sequence[int], float], Path]:
    """Writes an mp4 with a frame of each grey."""

    def write(greys: Sequence[int], fps: float) -> Path:
        path = tmp_path / "clip.mp4"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (WIDTH, HEIGHT))
        assert writer.isOpened()
        for value in greys:
            writer.write(grey(value))
        writer.release()
        return path

    return write


@pytest.fixture
def write_bag(tmp_path: Path) -> BagWriter:
    """Writes a rosbag2 with a topic of images, one of each grey, at 10 Hz."""

    def write(
        topics: dict[str, Sequence[int]],
        storage: StoragePlugin = StoragePlugin.MCAP,
        compressed: bool = False,
        name: str = "bag",
    ) -> Path:
        path = tmp_path / name
        types = get_typestore(Stores.ROS2_KILTED)
        image, compressed_image = (types.types[f"sensor_msgs/msg/{kind}"] for kind in ("Image", "CompressedImage"))
        header, time = types.types["std_msgs/msg/Header"], types.types["builtin_interfaces/msg/Time"]
        kind = compressed_image if compressed else image
        with Writer(path, version=9, storage_plugin=storage) as writer:
            for topic, greys in topics.items():
                connection = writer.add_connection(topic, kind.__msgtype__, typestore=types)
                for number, value in enumerate(greys):
                    stamp = 5 * SECOND + number * SECOND // 10
                    head = header(time(stamp // SECOND, stamp % SECOND), "camera")
                    if compressed:
                        data = cv2.imencode(".png", grey(value))[1].reshape(-1)
                        message = kind(head, "png", data)
                    else:
                        data = grey(value).reshape(-1)
                        message = kind(head, HEIGHT, WIDTH, "rgb8", 0, WIDTH * 3, data)
                    writer.write(connection, stamp, types.serialize_cdr(message, kind.__msgtype__))
        return path

    return write


@pytest.fixture
def greys() -> Callable[[Source], list[int]]:
    """Reads the grey of every frame; its stamps must be those that the source announced."""

    def read(source: Source) -> list[int]:
        frames = list(source.frames())
        assert tuple(frame.stamp_ns for frame in frames) == source.stamps
        assert all(frame.image.shape == (HEIGHT, WIDTH, 3) for frame in frames)
        assert all(frame.image.dtype == np.uint8 for frame in frames)
        assert all(frame.labels is None for frame in frames)
        return [round(float(frame.image.mean()) / 10) * 10 for frame in frames]

    return read


@dataclass(frozen=True)
class Drawn:
    """A source of grey frames whose left half is sky and whose right half is road."""

    name: str = "drawn"
    stamps: tuple[int, ...] = tuple(number * SECOND // 10 for number in range(4))
    label_names: tuple[str, ...] = ("sky", "road")

    def frames(self) -> Iterator[Frame]:
        labels = np.zeros(PICTURE, np.uint8)
        labels[:, PICTURE[1] // 2 :] = 1
        for number, stamp in enumerate(self.stamps):
            image = np.full((*PICTURE, 3), 60 * number, np.uint8)
            yield Frame(stamp, image, labels if self.label_names else None)


def answer(frame: int, vocabulary: Vocabulary, left: int, right: int, latency_ms: float = 100.0) -> Answer:
    mask = np.full(PICTURE, left, np.uint16)
    mask[:, PICTURE[1] // 2 :] = right
    return Answer(frame, frame * SECOND // 10, latency_ms, vocabulary, mask, 0.5)


@pytest.fixture
def recording() -> Recording:
    """Frame 1 was passed over, and the last was shown twice."""
    return Recording(
        shown=5,
        seconds=0.4,
        answers=(
            answer(0, BEFORE, 0, 1),
            answer(2, BEFORE, 0, 0, latency_ms=300.0),
            answer(3, AFTER, 1, 0),
            dataclasses.replace(answer(3, AFTER, UNLABELLED, 0), sent_ns=SECOND // 2),
        ),
        versions=(1, 2),
        ids=((0, 1), (2, 0, 3)),
        reply_ms=12.3,
        first_mask_ms=250.0,
        change=2,
    )


@pytest.fixture
def make_source() -> Callable[..., Source]:
    """Makes the source that `recording` is of."""
    return Drawn

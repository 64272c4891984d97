from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from errseg_model.errors import InputError
from errseg_ros.bags.storage import zstd
from errseg_ros.demo.frames import Pace, SourceError
from errseg_ros.demo.sources import open_source
from errseg_ros.ros_time import SECOND

HEIGHT, WIDTH = 96, 128

VideoWriter = Callable[[Sequence[int], float], Path]
BagWriter = Callable[..., Path]
Greys = Callable[..., list[int]]


def picture(path: Path, value: int) -> None:
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), value, np.uint8))


def test_video_is_brought_to_the_rate(write_video: VideoWriter, greys: Greys) -> None:
    source = open_source(write_video(range(0, 200, 10), 20.0), Pace(rate=10, duration=10))
    assert greys(source) == list(range(0, 200, 20))
    assert source.stamps[1] == SECOND // 10
    assert greys(source) == list(range(0, 200, 20)), "a source can be read again"


def test_video_is_cut_at_the_duration(write_video: VideoWriter, greys: Greys) -> None:
    source = open_source(write_video(range(0, 200, 10), 10.0), Pace(rate=10, duration=0.5))
    assert greys(source) == [0, 10, 20, 30, 40]


def test_folder_is_read_by_name(tmp_path: Path, greys: Greys) -> None:
    for name, value in (("b.png", 20), ("a.jpg", 10), ("c.JPEG", 30)):
        picture(tmp_path / name, value)
    (tmp_path / "notes.txt").write_text("no picture")
    source = open_source(tmp_path, Pace(rate=4, duration=10))
    assert greys(source) == [10, 20, 30]
    assert source.stamps == (0, SECOND // 4, SECOND // 2)


def test_one_picture_is_a_source(tmp_path: Path, greys: Greys) -> None:
    picture(tmp_path / "a.png", 50)
    assert greys(open_source(tmp_path / "a.png", Pace())) == [50]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "does not exist"),
        ("a" * 300, None, "does not exist"),
        ("text.mp4", b"not a video", "cannot be read as a video"),
        ("empty.avi", b"", "cannot be read as a video"),
        ("bad.mcap", b"not a bag", "cannot be read as a rosbag2"),
        ("bad.db3", b"not a bag", "cannot be read as a rosbag2"),
        ("folder/notes.txt", b"no picture", "expected a folder with pictures"),
        ("bag/metadata.yaml", b"nonsense: [", "cannot be read as a rosbag2"),
        ("other/metadata.yaml", b"rosbag2_bagfile_information: {version: 5}", "cannot be read as a rosbag2"),
    ],
)
def test_unreadable_source(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    source = path if path.parent == tmp_path else path.parent
    with pytest.raises(SourceError, match=message):
        open_source(source, Pace())
    assert capfd.readouterr() == ("", ""), "the error says it all"


def test_broken_picture_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 10)
    (tmp_path / "b.png").write_bytes(b"no picture")
    frames = open_source(tmp_path, Pace()).frames()
    assert next(frames).stamp_ns == 0
    with pytest.raises(InputError, match=r"b\.png"):
        next(frames)


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_bag_is_known_by_its_files(write_bag: BagWriter, greys: Greys, storage: StoragePlugin) -> None:
    """As a recording that was cut off leaves it, and as `ros2 bag record --compression-mode file` does."""
    bag = write_bag({"/camera/image": [10, 20]}, storage)
    (bag / "metadata.yaml").unlink()
    assert greys(open_source(bag, Pace())) == [10, 20]
    (file,) = bag.iterdir()
    packed = file.with_name(f"{file.name}.zstd")
    packed.write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    assert greys(open_source(bag, Pace())) == [10, 20]
    assert greys(open_source(packed, Pace())) == [10, 20]


def test_image_topic_needs_a_bag(write_video: VideoWriter) -> None:
    with pytest.raises(SourceError, match="is not a bag"):
        open_source(write_video([10], 10.0), Pace(), "/camera/image")

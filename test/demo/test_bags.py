from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from errseg_model.sample_drive import CLASSES, SampleDrive
from errseg_ros.demo.bags import BagSource
from errseg_ros.demo.frames import Pace, SourceError
from errseg_ros.sample_bag import write_sample_bag

BagWriter = Callable[..., Path]
Greys = Callable[..., list[int]]


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("compressed", [False, True])
def test_bag_of_either_storage(write_bag: BagWriter, greys: Greys, storage: StoragePlugin, compressed: bool) -> None:
    path = write_bag({"/camera/image": range(0, 100, 10)}, storage, compressed)
    assert greys(BagSource(path, Pace(duration=0.5))) == [0, 10, 20, 30, 40]
    (file,) = [entry for entry in path.iterdir() if entry.suffix in (".mcap", ".db3")]
    assert greys(BagSource(file, Pace(rate=5))) == [0, 20, 40, 60, 80]


def test_topic_of_a_bag(write_bag: BagWriter, greys: Greys) -> None:
    path = write_bag({"/right/image": [20], "/left/image": [10]})
    source = BagSource(path, Pace())
    assert greys(source) == [10]
    assert source.name.endswith("topic /left/image")
    assert greys(BagSource(path, Pace(), "/right/image")) == [20]
    with pytest.raises(SourceError, match="no images on the topic '/up'; it has /left/image, /right/image"):
        BagSource(path, Pace(), "/up")


def test_bag_without_images(write_bag: BagWriter) -> None:
    with pytest.raises(SourceError, match="no topic with images"):
        BagSource(write_bag({}), Pace())


def test_broken_message_is_named(write_bag: BagWriter) -> None:
    path = write_bag({"/camera/image": [10, 20]}, StoragePlugin.SQLITE3)
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE messages SET data = x'00010000' WHERE id = 2")
    frames = BagSource(path, Pace()).frames()
    assert next(frames).image[0, 0, 0] == 10
    with pytest.raises(SourceError, match="message 1"):
        next(frames)


def test_labels_of_a_sample_drive(tmp_path: Path) -> None:
    drive = SampleDrive(height=96, width=128, duration_s=0.5)
    write_sample_bag(tmp_path / "drive", drive)
    source = BagSource(tmp_path / "drive", Pace(rate=5))
    assert source.label_names == CLASSES
    frames = list(source.frames())
    assert len(frames) == 3
    for frame, number in zip(frames, (0, 2, 4), strict=True):
        drawn = drive.frame(number)
        np.testing.assert_array_equal(frame.image, drawn.image)
        assert frame.labels is not None
        np.testing.assert_array_equal(frame.labels, drawn.labels)


def test_other_topics_have_no_labels(tmp_path: Path) -> None:
    write_sample_bag(tmp_path / "drive", SampleDrive(height=96, width=128, duration_s=0.1))
    source = BagSource(tmp_path / "drive", Pace(), "/camera/labels")
    assert source.label_names == ()
    assert next(source.frames()).labels is None

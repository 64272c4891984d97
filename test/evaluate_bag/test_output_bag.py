"""The bag that an evaluation leaves."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Writer

from errseg_model.errors import InputError
from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.sample_drive import SampleDrive
from errseg_model.visualization import overlay
from errseg_model.vocabulary import Vocabulary
from errseg_ros.bags import BagReader, make_typestore
from errseg_ros.evaluate_bag.output_bag import OutputBag
from errseg_ros.evaluate_bag.sink import ComputedFrame
from errseg_ros.image_decoding import ids_from_image, rgb_from_compressed
from errseg_ros.sample_bag import IMAGE_TOPIC, write_sample_bag

BEFORE = Vocabulary.parse(["road", "sky"])
AFTER = Vocabulary.parse(["dragon", "sky", "street, road"])
SIZE = (96, 128)
IMAGES = 6
CHANGE = 3
"""The first image under AFTER."""


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of the sample drive."""
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_sample_bag(path, SampleDrive(height=SIZE[0], width=SIZE[1], rate_hz=10, duration_s=IMAGES / 10))
    return path


def result(vocabulary: Vocabulary, seed: int) -> SegmentationResult:
    """A mask of all classes, and unlabelled pixels."""
    random = np.random.default_rng(seed)
    mask = random.integers(0, len(vocabulary) + 1, SIZE).astype(np.uint16)
    mask[mask == len(vocabulary)] = UNLABELLED
    return SegmentationResult(
        vocabulary=vocabulary,
        mask=mask,
        confidence=random.random(SIZE, np.float32),
        scores={name: random.random() for name in vocabulary.names},
        selected=np.arange(len(vocabulary)),
        logits=np.zeros((len(vocabulary), 2, 2), np.float32),
    )


def write(path: Path, source: Path, vocabularies: tuple[Vocabulary, ...] = (BEFORE, AFTER)) -> list[ComputedFrame]:
    """An output bag as the evaluator writes it. Returns the results in it."""
    frames: list[ComputedFrame] = []
    sink = OutputBag(path, source, vocabularies, "errseg-lite", 0.25)
    with BagReader(source) as reader:
        for message in reader.messages():
            sink.write_original(message)
            if message.topic == IMAGE_TOPIC:
                image = reader.deserialize(message)
                stamp = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
                pixels = image.data.reshape(*SIZE, 3)
                made = result(vocabularies[len(frames) >= CHANGE], len(frames))
                frames.append(ComputedFrame(stamp, image.header.frame_id, message.time_ns, pixels, made))
                sink.write_result(frames[-1])
    sink.close()
    return frames


@pytest.fixture
def written(drive: Path, tmp_path: Path) -> tuple[Path, list[ComputedFrame]]:
    """An output bag and the results in it."""
    return tmp_path / "out", write(tmp_path / "out", drive)


def read(path: Path, topic: str) -> list[Any]:
    with BagReader(path) as reader:
        assert not reader.problems
        return [reader.deserialize(message) for message in reader.messages([topic])]


def test_what_was_recorded_is_there_byte_for_byte(written: tuple[Path, Any], drive: Path) -> None:
    with BagReader(drive) as source, BagReader(written[0]) as copy:
        assert list(copy.messages(source.topics)) == list(source.messages())
        for name, topic in source.topics.items():
            assert copy.topics[name] == topic
            assert copy.definition(name) == source.definition(name)


def test_masks_have_the_ids_that_their_labels_name(written: tuple[Path, list[ComputedFrame]]) -> None:
    path, frames = written
    labels = [{c.class_name: c.class_id for c in message.class_map} for message in read(path, "/errseg/label_info")]
    assert labels == [{"road": 0, "sky": 1}, {"dragon": 2, "sky": 1, "street": 3}]
    masks = read(path, "/errseg/camera/mask")
    assert len(masks) == IMAGES
    for number, (message, frame) in enumerate(zip(masks, frames, strict=True)):
        assert message.encoding == "mono8"
        expected = np.full(SIZE, 255)
        for place, name in enumerate(frame.result.vocabulary.names):
            expected[frame.result.mask == place] = labels[number >= CHANGE][name]
        np.testing.assert_array_equal(ids_from_image(message), expected)


def test_results_have_the_header_and_the_time_of_their_image(written: tuple[Path, Any], drive: Path) -> None:
    with BagReader(written[0]) as reader:
        images = list(reader.messages([IMAGE_TOPIC]))
        assert images
        for name in ("mask", "confidence", "class_scores", "overlay/compressed"):
            results = list(reader.messages([f"/errseg/camera/{name}"]))
            assert [message.time_ns for message in results] == [message.time_ns for message in images]
            for message, image in zip(results, images, strict=True):
                assert str(reader.deserialize(message).header) == str(reader.deserialize(image).header)


def test_labels_come_before_the_first_mask_that_they_describe(written: tuple[Path, Any]) -> None:
    with BagReader(written[0]) as reader:
        order = [message.topic for message in reader.messages(["/errseg/label_info", "/errseg/camera/mask"])]
        qos = {name: topic.qos[0].durability for name, topic in reader.topics.items()}
    labels, mask = "/errseg/label_info", "/errseg/camera/mask"
    assert order == [labels, *[mask] * CHANGE, labels, *[mask] * (IMAGES - CHANGE)]
    assert qos[labels] == qos["/errseg/vocabulary_info"] == QosDurability.TRANSIENT_LOCAL
    assert qos[mask] == QosDurability.VOLATILE


def test_confidence_scores_and_versions_are_those_of_the_results(
    written: tuple[Path, list[ComputedFrame]],
) -> None:
    path, frames = written
    for message, frame in zip(read(path, "/errseg/camera/confidence"), frames, strict=True):
        np.testing.assert_allclose(ids_from_image(message) / 255, frame.result.confidence, atol=0.5 / 255 + 1e-6)
    for message, frame in zip(read(path, "/errseg/camera/class_scores"), frames, strict=True):
        assert {entry.class_id: entry.score for entry in message.results} == frame.result.scores
    infos = read(path, "/errseg/vocabulary_info")
    assert [(info.method, info.database_version) for info in infos] == [("errseg-lite", 1), ("errseg-lite", 2)]
    assert [message.threshold for message in read(path, "/errseg/label_info")] == [0.25, 0.25]


def test_the_overlay_is_the_picture_of_the_node(written: tuple[Path, list[ComputedFrame]]) -> None:
    path, frames = written
    for message, frame in zip(read(path, "/errseg/camera/overlay/compressed"), frames, strict=True):
        assert message.format == "jpeg"
        expected = overlay(frame.image, frame.result.mask, frame.result.vocabulary)
        assert cv2.PSNR(rgb_from_compressed(message), expected) > 15  # of noise, which JPEG likes least


def test_more_names_than_mono8_has_ids_make_mono16(drive: Path, tmp_path: Path) -> None:
    many = Vocabulary.parse([f"thing {number}" for number in range(300)])
    frames = write(tmp_path / "out", drive, (BEFORE, many))
    masks = read(tmp_path / "out", "/errseg/camera/mask")
    assert {message.encoding for message in masks} == {"mono16"}
    expected = frames[-1].result.mask.astype(int) + 2
    expected[frames[-1].result.mask == UNLABELLED] = 65535
    np.testing.assert_array_equal(ids_from_image(masks[-1]), expected)


def test_topics_of_a_node_that_was_recorded_stay_and_ours_get_another_name(
    written: tuple[Path, Any], tmp_path: Path
) -> None:
    write(tmp_path / "again", written[0])
    with BagReader(tmp_path / "again") as reader, BagReader(written[0]) as first:
        assert reader.topics.keys() - first.topics.keys() == {
            name.replace("/errseg/", "/errseg_2/") for name in first.topics if name.startswith("/errseg/")
        }
        assert list(reader.messages(first.topics)) == list(first.messages())


def test_until_it_is_closed_there_is_no_bag_and_discarded_nothing_at_all(drive: Path, tmp_path: Path) -> None:
    sink = OutputBag(tmp_path / "out", drive, [BEFORE], "errseg-lite", 0.0)
    assert not (tmp_path / "out").exists()
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_refused_before_anything_is_written(drive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        OutputBag(tmp_path / "out", drive, [BEFORE], "errseg-lite", 0.0)
    with pytest.raises(InputError, match="is not a folder"):
        OutputBag(tmp_path / "nowhere" / "out", drive, [BEFORE], "errseg-lite", 0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("step", ["write", "close"])
def test_a_full_disk_is_one_clear_error(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sink = OutputBag(tmp_path / "out", drive, [BEFORE], "errseg-lite", 0.0)
    monkeypatch.setattr(Writer, step, fail)
    with BagReader(drive) as reader:
        message = next(iter(reader.messages()))
    act = {"write": lambda: sink.write_original(message), "close": sink.close}[step]
    with pytest.raises(InputError, match="out cannot be written: No space left on device"):
        act()
    monkeypatch.undo()
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_messages_of_a_type_that_nobody_knows_are_copied(tmp_path: Path) -> None:
    store = make_typestore()
    with Writer(tmp_path / "source", version=8) as writer:
        connection = writer.add_connection("/text", "std_msgs/msg/String", typestore=store)
        writer.write(connection, 1, b"\0\1\0\0\5\0\0\0road\0")
    metadata = tmp_path / "source" / "metadata.yaml"
    for file, old in ((metadata, "std_msgs/msg/String"), (tmp_path / "source" / "source.db3", "std_msgs/msg/String")):
        file.write_bytes(file.read_bytes().replace(old.encode(), b"std_msgs/msg/Strong"))
    sink = OutputBag(tmp_path / "out", tmp_path / "source", [BEFORE], "errseg-lite", 0.0)
    with BagReader(tmp_path / "source") as source:
        messages = list(source.messages())
        for message in messages:
            sink.write_original(message)
    sink.close()
    with BagReader(tmp_path / "out") as reader:
        assert [(m.topic, m.type, m.data) for m in reader.messages()] == [
            ("/text", "std_msgs/msg/Strong", b"\0\1\0\0\5\0\0\0road\0")
        ]


def test_memory_does_not_grow_with_the_bag(drive: Path, tmp_path: Path) -> None:
    process = psutil.Process()
    sink = OutputBag(tmp_path / "out", drive, [BEFORE], "errseg-lite", 0.0)
    with BagReader(drive) as reader:
        message = next(iter(reader.messages([IMAGE_TOPIC])))
    before = 0
    for number in range(3000):  # 110 MB
        sink.write_original(message)
        if number == 500:
            before = process.memory_info().rss
    grown = process.memory_info().rss - before
    sink.discard()
    assert grown < 20 * 2**20

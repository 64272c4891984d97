"""evaluate_bag --output-bag, with a model that reads its answer from the picture."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Writer

from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.main import main
from errseg_ros.image_decoding import ids_from_image

MASK = np.array([[0, 1, 2], [2, 1, 5]]).repeat(16, axis=0).repeat(16, axis=1)


@pytest.fixture
def drive(ros: Any, make_models: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images, each with the mask turned by one class."""
    monkeypatch.setattr("errseg_ros.evaluate_bag.models.Models", make_models)
    return ros.drive([(number / 10, (MASK + number) % 3, None) for number in range(4)], name="drive")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """The command with three classes. Returns its exit status."""

    def run(*arguments: str | Path) -> int:
        words = [*map(str, arguments), "--vocabulary", "road; sky; car", "--out", str(tmp_path / "report")]
        return main(words)

    return run


def masks(bag: Path) -> list[Any]:
    with BagReader(bag) as reader:
        return [ids_from_image(reader.deserialize(m)) for m in reader.messages(["/errseg/camera/mask"])]


def test_the_bag_holds_the_masks_that_were_evaluated(
    drive: Path, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(drive, "--output-bag", tmp_path / "out") == 0
    assert f"bag with masks and overlays: {tmp_path / 'out'}" in capsys.readouterr().out
    for number, mask in enumerate(masks(tmp_path / "out")):
        np.testing.assert_array_equal(mask, (MASK + number) % 3)


def test_with_a_stride_all_images_are_there_and_masks_of_some(
    drive: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    assert run(drive, "--output-bag", tmp_path / "out", "--stride", "2") == 0
    with BagReader(tmp_path / "out") as reader:
        counts = {name: topic.count for name, topic in reader.topics.items()}
    assert counts["/camera/image"] == 4 and counts["/errseg/camera/mask"] == 2


def test_names_keep_their_ids_when_the_vocabulary_changes(drive: Path, run: Callable[..., int], tmp_path: Path) -> None:
    assert run(drive, "--output-bag", tmp_path / "out", "--vocabulary-at", "0.2=car; dragon; road") == 0
    with BagReader(tmp_path / "out") as reader:
        infos = [reader.deserialize(message) for message in reader.messages(["/errseg/label_info"])]
    ids = [{entry.class_name: entry.class_id for entry in info.class_map} for info in infos]
    assert ids == [{"road": 0, "sky": 1, "car": 2}, {"car": 2, "dragon": 3, "road": 0}]
    np.testing.assert_array_equal(masks(tmp_path / "out")[3], np.array([2, 3, 0])[(MASK + 3) % 3])


def test_of_several_bags_there_is_a_folder_with_one_for_each(
    ros: Any, drive: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    other = ros.drive([(0, MASK % 3, None)], name="other")
    assert run(drive, other, "--output-bag", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["drive", "other"]
    assert [len(masks(tmp_path / "out" / name)) for name in ("drive", "other")] == [4, 1]


@pytest.mark.parametrize(
    ("place", "words", "problem"),
    [
        ("drive", [], "exists already: remove it or choose another name"),
        ("nowhere/out", [], "is not a folder: create it first"),
        ("out", ["--resume"], "those from before the interruption are not kept"),
    ],
)
def test_a_place_that_does_not_do_is_told_before_anything_is_computed(
    drive: Path,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    words: list[str],
    problem: str,
) -> None:
    assert run(drive, "--output-bag", tmp_path / place, *words) == 2
    errors = capsys.readouterr().err
    assert problem in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["drive"]


def test_a_disk_that_becomes_full_leaves_no_bag(
    drive: Path,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, calls = Writer.write, []

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(Writer, "write", fail)
    assert run(drive, "--output-bag", tmp_path / "out") == 2
    assert "out cannot be written: No space left on device" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]

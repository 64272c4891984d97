"""Files that are not as they should be, and what the factory refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from errseg_model.datasets import DatasetError, create_dataset, list_datasets
from errseg_model.datasets.factory import dataset_specification


@pytest.fixture
def voc(publish: Callable[[Any], Path], every_layout: tuple[Any, ...]) -> Path:
    return publish(next(published for published in every_layout if published.dataset == "voc-20"))


def break_with(path: str, content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / path).write_bytes(content) and None


def truncate(path: str) -> Callable[[Path], None]:
    def cut(root: Path) -> None:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return cut


def save(path: str, image: Image.Image, kind: str | None = None) -> Callable[[Path], None]:
    return lambda root: image.save(root / path, kind)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate("JPEGImages/a_1.jpg"), "a_1.jpg cannot be decoded as a picture"),
        (truncate("SegmentationClass/a_1.png"), "a_1.png cannot be decoded as a picture"),
        (break_with("JPEGImages/a_1.jpg", b"no picture"), "a_1.jpg cannot be decoded as a picture"),
        (break_with("SegmentationClass/a_1.png", b""), "a_1.png cannot be decoded as a picture"),
        (save("SegmentationClass/a_1.png", Image.new("L", (20, 13))), r"are \(13, 20\), expected \(12, 20\)"),
        (save("SegmentationClass/a_1.png", Image.new("RGB", (20, 12))), "have 3 channels of uint8, expected one"),
        (
            save("SegmentationClass/a_1.png", Image.new("F", (20, 12)), "TIFF"),
            "channels of float32, expected one whole number",
        ),
        (
            save("SegmentationClass/a_1.png", Image.fromarray(np.arange(240, dtype=np.uint16).reshape(12, 20) + 21)),
            "does not know: 21, 22, 23, 24, 25 and 234 more",
        ),
        (save("SegmentationClass/a_1.png", Image.new("L", (20, 12), 21)), "does not know: 21$"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(voc: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(voc)
    dataset = create_dataset("voc-20", voc, "val")
    with pytest.raises(DatasetError, match=message) as caught:
        dataset[0]
    assert "a_1" in str(caught.value) and "\n" not in str(caught.value)
    assert dataset[1].name == "a_2"


@pytest.mark.parametrize("value", [-3, 70000])
@pytest.mark.parametrize("dataset", ["voc-20", "pascal-context-459"])
def test_values_beyond_16_bits_are_unknown(
    publish: Callable[[Any], Path], every_layout: tuple[Any, ...], dataset: str, value: int
) -> None:
    published = next(published for published in every_layout if published.dataset == dataset)
    root = publish(published)
    Image.fromarray(np.full((12, 20), value, np.int32)).save(root / published.label.format("a_1"), format="TIFF")
    with pytest.raises(DatasetError, match=f"does not know: {value}$"):
        create_dataset(dataset, root)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a_1\nabsent\n", r"absent.jpg has no labels: expected .*absent.png"),
        (b"", r"val.txt names no pictures"),
        (b" \n\n", r"val.txt names no pictures"),
        (b"\xff\xfe\n", r"val.txt cannot be read"),
    ],
)
def test_a_list_of_pictures_that_cannot_be_followed(voc: Path, content: bytes, message: str) -> None:
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        create_dataset("voc-20", voc)


def test_only_listed_pictures_are_read_in_order_of_their_names(voc: Path) -> None:
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("  b_1 \n\na_1\r\n")
    assert [sample.name for sample in create_dataset("voc-20", voc)] == ["a_1", "b_1"]


def test_pictures_are_not_turned_by_their_exif_data(voc: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = voc / "JPEGImages" / "a_1.jpg"
    Image.open(path).save(path, exif=exif)
    assert create_dataset("voc-20", voc)[0].image.shape == (12, 20, 3)


def test_a_grey_picture_is_read_as_rgb(voc: Path) -> None:
    Image.new("L", (20, 12), 77).save(voc / "JPEGImages" / "a_1.jpg")
    assert create_dataset("voc-20", voc)[0].image.shape == (12, 20, 3)


@pytest.mark.parametrize("name", list_datasets())
def test_a_wrong_place_says_what_is_expected_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root, reason in ((tmp_path, "in a known layout"), (tmp_path / "no", "no folder"), (tmp_path / "file", "no fo")):
        with pytest.raises(DatasetError, match=f"{reason}.*: expected the data set's folder") as caught:
            create_dataset(name, root)
        message = str(caught.value)
        specification = dataset_specification(name)
        assert str(root) in message and specification.folder in message and "{" not in message
        assert message.count("or with") == len(specification.layouts) - 1


@pytest.mark.parametrize("name", list_datasets())
def test_an_unknown_split_lists_those_there_are(name: str, tmp_path: Path) -> None:
    splits = ", ".join(sorted(dataset_specification(name).splits))
    with pytest.raises(DatasetError, match=f"unknown split 'all' of .*: expected one of {splits}"):
        create_dataset(name, tmp_path, "all")


def test_an_unknown_data_set_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="unknown data set 'kitti': expected one of camvid, cityscapes"):
        create_dataset("kitti", tmp_path)


def test_published_labels_go_before_converted_ones(
    publish: Callable[[Any], Path], every_layout: tuple[Any, ...]
) -> None:
    ids, train_ids = (p for p in every_layout if p.dataset == "cityscapes")
    root = publish(ids)
    for path in (root / "gtFine").rglob("*_labelIds.png"):
        Image.new("L", (20, 12), 18).save(path.with_name(path.name.replace("labelIds", "labelTrainIds")))
    assert create_dataset("cityscapes", root)[0].labels[0, 0] == 0  # road, not 18


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "FileNotFoundError"),
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError"),
        (json.dumps({"labels": []}), "1 to 1000 entries"),
        (json.dumps({"labels": [{"evaluate": True}]}), "readable"),
        (json.dumps({"labels": [{"readable": "Car", "evaluate": True}] * 2}), "same name"),
        (json.dumps({"labels": [{"readable": "Car", "evaluate": False}]}), "1 to 1000 entries"),
    ],
)
def test_a_mapillary_config_that_cannot_be_used(
    publish: Callable[[Any], Path], every_layout: tuple[Any, ...], content: str | None, reason: str
) -> None:
    root = publish(next(published for published in every_layout if published.dataset == "mapillary-2.0"))
    path = root / "config_v2.0.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DatasetError, match=rf"config_v2.0.json must be .*{reason}"):
        create_dataset("mapillary-2.0", root)

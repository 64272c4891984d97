"""Data sets of one's own: folders of pictures and labels, and a file of classes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from errseg_model.datasets import DatasetError
from errseg_model.datasets.folders import open_folders, read_class_list


def write_folders(root: Path, row: tuple[int, ...] = (7, 300, 255)) -> tuple[Path, Path, Path]:
    values = np.array([row], np.uint16)
    for name in ("b.JPG", "town/a.png"):
        picture, label = root / "images" / name, (root / "labels" / name).with_suffix(".png")
        for path in (picture, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", values.shape[::-1], (1, 2, 3)).save(picture)
        Image.fromarray(values).save(label)
    (root / "classes.yaml").write_text("7: road\n300: car, automobile\n")
    return root / "images", root / "labels", root / "classes.yaml"


def test_pictures_of_folders_below_are_read_with_their_labels(tmp_path: Path) -> None:
    dataset = open_folders(*write_folders(tmp_path))
    assert [sample.name for sample in dataset] == ["b", "town/a"]
    assert dataset.classes == ("road", "car") and dataset.vocabulary.entries[1].synonyms == ("automobile",)
    np.testing.assert_array_equal(dataset[1].labels, [[0, 1, 2]])


def test_linked_folders_are_read_as_others_are(tmp_path: Path) -> None:
    images, labels, classes = write_folders(tmp_path)
    for folder in (images, labels):
        elsewhere = tmp_path / "disk" / folder.name
        elsewhere.parent.mkdir(exist_ok=True)
        (folder / "town").rename(elsewhere)
        (folder / "town").symlink_to(elsewhere)
    assert [sample.name for sample in open_folders(images, labels, classes)] == ["b", "town/a"]


def test_a_folder_that_several_names_lead_to_is_read_once(tmp_path: Path) -> None:
    """Links to what is there already, to a folder above and to each other, which would never end."""
    images, labels, classes = write_folders(tmp_path)
    for folder in (images, labels):
        (folder / "all").symlink_to(folder / "town")
        (folder / "up").symlink_to("..")
        (folder / "town" / "round").symlink_to(folder)
        (tmp_path / f"{folder.name} a").mkdir()
        (tmp_path / f"{folder.name} b").mkdir()
        (tmp_path / f"{folder.name} a" / "b").symlink_to(tmp_path / f"{folder.name} b")
        (tmp_path / f"{folder.name} b" / "a").symlink_to(tmp_path / f"{folder.name} a")
        (folder / "pair").symlink_to(tmp_path / f"{folder.name} a")
    assert [sample.name for sample in open_folders(images, labels, classes)] == ["b", "town/a"]


def test_255_is_a_class_where_the_file_says_so(tmp_path: Path) -> None:
    folders = write_folders(tmp_path)
    folders[2].write_text("7: road\n255: sky\n300: car\n")
    np.testing.assert_array_equal(open_folders(*folders)[0].labels, [[0, 2, 1]])


def png(row: tuple[int, ...], bits: int, colour: int) -> bytes:
    """One row of pixels; Pillow writes no grey ones of 2 and 4 bits."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    digits = "".join(f"{value:0{bits}b}" for value in row)
    packed = int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8), "big")
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", len(row), 1, bits, colour, 0, 0, 0)),
            chunk(b"PLTE", bytes(range(3 << bits))) if colour == 3 else b"",
            chunk(b"IDAT", zlib.compress(b"\0" + packed)),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize("colour", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize(("bits", "row"), [(1, (1, 0, 1)), (2, (0, 3, 2)), (4, (15, 3, 0))])
def test_ids_of_few_bits_are_those_that_are_stored(
    tmp_path: Path, bits: int, row: tuple[int, ...], colour: int
) -> None:
    images, labels, classes = write_folders(tmp_path)
    classes.write_text("".join(f"{number}: thing {number}\n" for number in range(1 << bits)))
    (labels / "b.png").write_bytes(png(row, bits, colour))
    np.testing.assert_array_equal(open_folders(images, labels, classes)[0].labels, [row])


def test_an_id_without_a_class_is_an_error(tmp_path: Path) -> None:
    dataset = open_folders(*write_folders(tmp_path, (7, 8)))
    with pytest.raises(DatasetError, match=r"b.png have values that the data set does not know: 8$"):
        dataset[0]


def test_a_picture_without_labels_is_an_error(tmp_path: Path) -> None:
    images, labels, classes = write_folders(tmp_path)
    (labels / "town/a.png").unlink()
    with pytest.raises(DatasetError, match=r"a.png has no labels: expected .*labels/town/a.png"):
        open_folders(images, labels, classes)


def test_a_name_may_have_dots(tmp_path: Path) -> None:
    images, labels, classes = write_folders(tmp_path)
    for name, row in (("1620000000.125", [[7, 7, 7]]), ("1620000000.250", [[300, 300, 300]])):
        Image.new("RGB", (3, 1)).save(images / f"{name}.jpg")
        Image.fromarray(np.array(row, np.uint16)).save(labels / f"{name}.png")
    dataset = open_folders(images, labels, classes)
    assert [sample.name for sample in dataset][:2] == ["1620000000.125", "1620000000.250"]
    assert [sample.labels[0, 0] for sample in dataset][:2] == [0, 1]


def test_labels_among_the_pictures_are_an_error(tmp_path: Path) -> None:
    _, labels, classes = write_folders(tmp_path)
    with pytest.raises(DatasetError, match=r"b\.png is both picture and labels: keep labels in a folder of their own"):
        open_folders(labels, labels, classes)


def test_two_pictures_with_the_same_labels_are_an_error(tmp_path: Path) -> None:
    images, labels, classes = write_folders(tmp_path)
    Image.new("RGB", (3, 1)).save(images / "b.png")
    with pytest.raises(DatasetError, match=r"b\.JPG and .*b\.png have the same labels, .*labels/b\.png: rename one"):
        open_folders(images, labels, classes)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_picture_of_more_than_8_bits_is_an_error(tmp_path: Path, mode: str) -> None:
    images, labels, classes = write_folders(tmp_path)
    (images / "b.JPG").unlink()
    Image.new(mode, (3, 1), 4000).save(images / "b.png", "TIFF")
    with pytest.raises(DatasetError, match=r"b\.png has more than 8 bits a pixel .*convert it to 8 bits"):
        open_folders(images, labels, classes)[0]


@pytest.mark.parametrize(("folder", "message"), [("absent", "is no folder"), ("labels/town", "has no labels")])
def test_a_wrong_folder_of_pictures_is_an_error(tmp_path: Path, folder: str, message: str) -> None:
    _, labels, classes = write_folders(tmp_path)
    with pytest.raises(DatasetError, match=message):
        open_folders(tmp_path / folder, labels, classes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- road\n", "must be a YAML mapping of ids to names"),
        ("", "must be a YAML mapping of ids to names"),
        ("7: [road\n", "cannot be read as YAML"),
        ("road: 7\n", "expected an id from 0 to 65535, got 'road'"),
        ("70000: road\n", "expected an id from 0 to 65535, got 70000"),
        ("7: road\n8: Road\n", "classes.yaml: "),
        ("7: ''\n", "classes.yaml: "),
        ("7: road\n7: car\n", "the key 7 is there twice"),
    ],
)
def test_a_wrong_file_of_classes_is_an_error_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_class_list(path)

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.errors import ImageError, InputError
from errseg_model.vocabulary import Vocabulary
from errseg_ros.evaluate_bag.labels import LabelKey, match_classes, read_label_names, read_palette


def names(key: LabelKey) -> list[str]:
    return [entry.name for entry in key.classes]


def test_ids_become_positions_of_their_classes(ros: Any) -> None:
    key = LabelKey.of([(0, "road"), (7, "sky"), (9, "road")])
    ids = np.array([[0, 7, 9], [1, 255, 7]], np.uint8)
    assert names(key) == ["road", "sky"]
    expected = [[0, 1, 0], [2, 2, 1]]
    assert key.read(ros.image(5, ids, "mono8")).tolist() == expected
    assert key.read(ros.image(5, ids.astype(np.uint16), "mono16")).tolist() == expected
    assert key.read(ros.compressed(5, ids)).tolist() == expected


def test_highest_id_never_counts_and_a_name_does_not_change_that(ros: Any) -> None:
    key = LabelKey.of([(0, "road"), (255, "void"), (65535, "nothing")])
    assert key.read(ros.image(5, np.array([[0, 255]], np.uint8), "mono8")).tolist() == [[0, 3]]
    wide = np.array([[0, 255, 65535]], np.uint16)
    assert key.read(ros.image(5, wide, "mono16")).tolist() == [[0, 1, 3]]


def test_a_class_has_the_synonyms_of_all_its_ids() -> None:
    key = LabelKey.of([(0, "road, street"), (1, "sky"), (2, "Road, way, Street")])
    assert [str(entry) for entry in key.classes] == ["road, street, way", "sky"]
    assert key.values == ((0, 0), (1, 1), (2, 0))


def test_ids_with_empty_names_do_not_count(ros: Any) -> None:
    key = LabelKey.of([(0, "road"), (1, " ")])
    assert key.read(ros.image(5, np.array([[0, 1]], np.uint8), "mono8")).tolist() == [[0, 1]]
    with pytest.raises(InputError, match="no names"):
        LabelKey.of([(1, "")])


def test_colours_become_positions_of_their_classes(ros: Any, tmp_path: Path) -> None:
    path = tmp_path / "palette.yaml"
    path.write_text("road: [128, 64, 128]\nsky: '#4682b4'\n")
    key = read_palette(path)
    assert names(key) == ["road", "sky"]
    pixels = np.array([[[128, 64, 128], [0x46, 0x82, 0xB4], [1, 2, 3]]], np.uint8)
    assert key.read(ros.image(5, pixels)).tolist() == [[0, 1, 2]]
    assert key.read(ros.image(5, pixels[..., ::-1], "bgr8")).tolist() == [[0, 1, 2]]
    assert key.read(ros.compressed(5, pixels)).tolist() == [[0, 1, 2]]


def test_labels_whose_compression_loses_something_are_refused(ros: Any) -> None:
    key = LabelKey.of([(0, "road")])
    with pytest.raises(ImageError, match="as PNG, which loses nothing, got format 'jpg'"):
        key.read(ros.compressed(5, np.zeros((8, 8), np.uint8), "jpg"))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_ids_of_a_grey_png_of_few_bits_are_those_that_it_stores(ros: Any, bits: int) -> None:
    ids = np.array([[0, 2**bits - 1]], np.uint8)
    row = np.packbits(np.unpackbits(ids[0][:, None], axis=1)[:, -bits:].reshape(-1)).tobytes()

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    message = ros.compressed(ros.start, np.zeros((1, 2), np.uint8))
    message.data = np.frombuffer(png + chunk(b"IEND", b""), np.uint8)
    key = LabelKey.of([(0, "sky"), (2**bits - 1, "road")] if bits < 8 else [(0, "sky")])
    assert key.read(message).tolist() == [[0, 1]]


def test_colours_without_a_palette_are_refused(ros: Any) -> None:
    key = LabelKey.of([(0, "road")])
    with pytest.raises(ImageError, match="got encoding 'rgb8'"):
        key.read(ros.image(5, np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(ImageError, match="--palette"):
        key.read(ros.compressed(5, np.zeros((8, 8, 3), np.uint8)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0: road\n'1': sky\n", "expected an id from 0 to 65535, got '1'"),
        ("-1: road\n", "expected an id"),
        ("65536: road\n", "expected an id"),
        ("true: road\n", "expected an id"),
        ("0: 5\n", "the name of id 0 must be a string"),
        ("0: no\n", "the name of id 0 must be a string"),
        ("- road\n", "must be a YAML mapping of ids to names"),
        ("", "must be a YAML mapping of ids to names"),
        ("0: [", "cannot be read as YAML"),
        ("0: ''\n", "no names"),
        (f"0: {'x' * 300}\n", "label 0: the name"),
    ],
)
def test_wrong_file_of_names_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_label_names(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road: [1, 2]\n", r"must be \[r, g, b\] or '#rrggbb'"),
        ("road: [1, 2, 256]\n", "must be"),
        ("road: '#12345'\n", "must be"),
        ("road: [1, 2, 3]\nsky: '#010203'\n", "'sky' and 'road' have the same colour"),
        ("0\n", "must be a YAML mapping of names to colours"),
    ],
)
def test_wrong_palette_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "palette.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_palette(path)
    assert str(path) in str(caught.value)


def test_file_of_names_orders_classes_by_id(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("5: sky\n2: road\n")
    assert names(read_label_names(path)) == ["road", "sky"]


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [
        ("road; sky", [0, 1]),
        ("SKY;  Road", [1, 0]),
        ("street, road; heaven", [0, 3]),
        ("road, sky", [0]),  # its own name goes before its synonym
        ("automobile; van, car", [2, 2]),
    ],
)
def test_classes_are_matched_by_name_and_else_by_synonym(vocabulary: str, expected: list[int]) -> None:
    key = LabelKey.of([(0, "road"), (1, "sky"), (2, "car, automobile")])
    assert match_classes(Vocabulary.from_argument(vocabulary), key.classes).tolist() == expected

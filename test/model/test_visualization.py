"""Colours and overlay; the legend has tests of its own."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from errseg_model.result import UNLABELLED
from errseg_model.visualization import overlay, palette
from errseg_model.vocabulary import Vocabulary

VOCABULARIES = Path(__file__).parents[2] / "config" / "vocabularies"
STREET = Vocabulary.parse(["road", "sidewalk", "building", "car", "sky", "dragon", "unicorn"])
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=15, unique=True)


def lab(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0], np.float32)


def nearest(colours: NDArray[np.uint8]) -> float:
    """The smallest CIELAB distance between two of the colours, or one of them and black."""
    points = lab(np.concatenate([colours, np.zeros((1, 3), np.uint8)]))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    return float(distances[~np.eye(len(points), dtype=bool)].min())


def random_mask(height: int, width: int, classes: int, seed: int = 0) -> NDArray[np.uint16]:
    values = np.append(np.arange(classes), UNLABELLED).astype(np.uint16)
    return np.random.default_rng(seed).choice(values, (height, width))


# Colours


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("road", (128, 64, 128)),
        ("Sidewalk", (244, 35, 232)),
        ("pavement", (244, 35, 232)),
        ("building", (70, 70, 70)),
        ("tree", (107, 142, 35)),
        ("vegetation", (107, 142, 35)),
        ("traffic  Light", (250, 170, 30)),
        ("sign", (220, 220, 0)),
        ("sky", (70, 130, 180)),
        ("pedestrian", (220, 20, 60)),
        ("bicyclist", (255, 0, 0)),
        ("car", (0, 0, 142)),
        ("pole", (153, 153, 153)),
        ("fence", (190, 153, 153)),
    ],
)
def test_street_classes_have_the_colours_of_cityscapes(name: str, colour: tuple[int, int, int]) -> None:
    assert tuple(palette(Vocabulary.parse(["dragon", name]))[1]) == colour


@pytest.mark.parametrize("file", ["cityscapes.yaml", "camvid.yaml", "bdd100k.yaml"])
def test_street_vocabularies_keep_all_their_familiar_colours(file: str) -> None:
    vocabulary = Vocabulary.read(VOCABULARIES / file)
    alone = [palette(Vocabulary((entry,)))[0] for entry in vocabulary.entries]
    np.testing.assert_array_equal(palette(vocabulary), alone)


@given(WORDS)
def test_colours_do_not_depend_on_the_order(words: list[str]) -> None:
    forward, backward = Vocabulary.parse(words), Vocabulary.parse(words[::-1])
    np.testing.assert_array_equal(palette(forward), palette(backward)[::-1])


@given(WORDS)
def test_colours_of_a_small_vocabulary_are_well_apart(words: list[str]) -> None:
    assert nearest(palette(Vocabulary.parse([*words, "road", "tree", "vegetation"]))) >= 14


def test_a_name_keeps_its_colour_from_one_vocabulary_to_the_next() -> None:
    one = palette(Vocabulary.parse(["dragon", "unicorn", "road"]))
    other = palette(Vocabulary.parse(["car", "UNICORN, horned horse", "sky", " dragon"]))
    np.testing.assert_array_equal(one[[0, 1]], other[[3, 1]])


def test_two_words_for_one_thing_have_two_colours() -> None:
    first, second = palette(Vocabulary.parse(["pedestrian", "person"]))
    assert tuple(second) == (220, 20, 60) and nearest(np.stack([first, second])) >= 14


@pytest.mark.parametrize(("file", "least"), [("mapillary_vistas.yaml", 14), ("ade20k.yaml", 6), ("coco_stuff.yaml", 6)])
def test_colours_of_large_vocabularies_differ(file: str, least: float) -> None:
    assert nearest(palette(Vocabulary.read(VOCABULARIES / file))) >= least


def test_the_palette_is_shared_and_so_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        palette(STREET)[0] = 0


# Masks


def test_masks_need_not_be_contiguous() -> None:
    mask = random_mask(40, 60, len(STREET))
    image = np.full((40, 60, 3), 100, np.uint8)
    view, image_view = mask[::2, ::-3], image[::2, ::-3]
    np.testing.assert_array_equal(
        overlay(image_view, view, STREET),
        overlay(image[:20, :20], view.copy(), STREET),
    )


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.zeros((4, 4), np.uint8), "expected uint16 of shape (H, W), got uint8"),
        (np.zeros((4, 4, 1), np.uint16), "got uint16 of shape (4, 4, 1)"),
        (np.full((4, 4), 7, np.uint16), "expected positions in a vocabulary of 7 or 65535, got 7"),
        (np.array([[0, 65534, UNLABELLED]], np.uint16), "got 65534"),
    ],
)
def test_a_wrong_mask_is_refused(mask: NDArray[np.uint16], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        overlay(np.zeros((*mask.shape[:2], 3), np.uint8), mask, STREET)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.zeros((4, 5, 3), np.uint8), "image: expected uint8 of shape (4, 4, 3), as the mask has"),
        (np.zeros((4, 4), np.uint8), "got uint8 of shape (4, 4)"),
        (np.zeros((4, 4, 3), np.float32), "got float32"),
    ],
)
def test_a_wrong_image_is_refused(image: NDArray[np.uint8], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        overlay(image, np.zeros((4, 4), np.uint16), STREET)


def test_overlay_mixes_image_and_colours_and_leaves_unlabelled_pixels() -> None:
    """On a picture that is too small for a legend."""
    mask = random_mask(30, 40, len(STREET))
    image = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    before = image.copy()
    picture = overlay(image, mask, STREET)
    colours = {**dict(enumerate(palette(STREET).tolist())), UNLABELLED: [0, 0, 0]}
    mixed = image / 2 + np.array([[colours[int(value)] for value in row] for row in mask]) / 2
    expected = np.where((mask == UNLABELLED)[..., None], image, mixed)
    assert picture.dtype == np.uint8
    assert np.abs(picture - expected).max() <= 0.51
    np.testing.assert_array_equal(image, before)

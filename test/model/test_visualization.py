"""Colours, overlay and legend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ImageFont

from errseg_model import visualization
from errseg_model.result import UNLABELLED
from errseg_model.visualization import colorize, overlay, palette
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


def test_colorize_looks_up_every_pixel() -> None:
    mask = random_mask(17, 23, len(STREET))
    picture = colorize(mask, STREET)
    assert picture.shape == (17, 23, 3) and picture.dtype == np.uint8
    colours = {**dict(enumerate(palette(STREET).tolist())), UNLABELLED: [0, 0, 0]}
    expected = [[colours[int(value)] for value in row] for row in mask]
    np.testing.assert_array_equal(picture, expected)


def test_masks_need_not_be_contiguous() -> None:
    mask = random_mask(40, 60, len(STREET))
    image = np.full((40, 60, 3), 100, np.uint8)
    view, image_view = mask[::2, ::-3], image[::2, ::-3]
    np.testing.assert_array_equal(colorize(view, STREET), colorize(np.ascontiguousarray(view), STREET))
    np.testing.assert_array_equal(
        overlay(image_view, view, STREET, legend=False),
        overlay(image[:20, :20], view.copy(), STREET, legend=False),
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
        colorize(mask, STREET)
    with pytest.raises(ValueError, match=re.escape(expected)):
        overlay(np.zeros((*mask.shape[:2], 3), np.uint8), mask, STREET)


@pytest.mark.parametrize(
    ("image", "alpha", "expected"),
    [
        (np.zeros((4, 5, 3), np.uint8), 0.5, "image: expected uint8 of shape (4, 4, 3), as the mask has"),
        (np.zeros((4, 4), np.uint8), 0.5, "got uint8 of shape (4, 4)"),
        (np.zeros((4, 4, 3), np.float32), 0.5, "got float32"),
        (np.zeros((4, 4, 3), np.uint8), 1.5, "alpha: expected 0 to 1, got 1.5"),
        (np.zeros((4, 4, 3), np.uint8), float("nan"), "alpha: expected 0 to 1, got nan"),
    ],
)
def test_a_wrong_image_or_alpha_is_refused(image: NDArray[np.uint8], alpha: float, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        overlay(image, np.zeros((4, 4), np.uint16), STREET, alpha)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_overlay_mixes_image_and_colours_and_leaves_unlabelled_pixels(alpha: float) -> None:
    mask = random_mask(30, 40, len(STREET))
    image = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    before = image.copy()
    picture = overlay(image, mask, STREET, alpha, legend=False)
    mixed = image * (1 - alpha) + colorize(mask, STREET) * alpha
    expected = np.where((mask == UNLABELLED)[..., None], image, mixed)
    assert picture.dtype == np.uint8
    assert np.abs(picture - expected).max() <= 0.51
    np.testing.assert_array_equal(image, before)


# Legend


def legend_colours(picture: NDArray[np.uint8], vocabulary: Vocabulary) -> set[str]:
    """The names whose colour fills a square of 8 x 8 pixels somewhere in the picture."""
    found = set()
    for name, colour in zip(vocabulary.names, palette(vocabulary), strict=True):
        same = (picture == colour).all(axis=2).astype(np.uint8)
        if cv2.erode(same, np.ones((8, 8), np.uint8)).any():
            found.add(name)
    return found


@pytest.mark.parametrize(("height", "width"), [(360, 480), (720, 1280), (480, 360)])
def test_the_legend_names_what_is_in_the_picture(height: int, width: int) -> None:
    mask = np.zeros((height, width), np.uint16)
    mask[:, : width // 3] = 4
    mask[0, :9] = 5
    mask[-height // 4 :] = UNLABELLED
    image = np.full((height, width, 3), 200, np.uint8)
    plain, picture = overlay(image, mask, STREET, legend=False), overlay(image, mask, STREET)
    assert legend_colours(plain, STREET) == set()
    assert legend_colours(picture, STREET) == {"road", "sky", "dragon"}
    changed = np.flatnonzero((plain != picture).any(axis=(1, 2)))
    assert changed.min() >= 0.7 * height and changed.max() == height - 1


def test_the_largest_classes_come_first_and_the_rest_is_counted() -> None:
    vocabulary = Vocabulary.parse([f"thing {number}" for number in range(200)])
    values = np.repeat(np.arange(200), np.arange(1, 201) * 8).astype(np.uint16)
    mask = values.reshape(400, 402)
    labels = visualization._labels(mask, vocabulary, 12, 200)
    assert [label.text.rsplit(" ", 1)[0] for label in labels] == [f"thing {number}" for number in range(199, -1, -1)]
    chips, rows = visualization._arrange(labels, 12, 402, 6)
    assert 1 < rows <= 6
    assert chips[-1].label.text == f"+ {200 - len(chips) + 1} more"
    assert [chip.label for chip in chips[:-1]] == labels[: len(chips) - 1]
    assert all(chip.x + chip.label.width <= 402 for chip in chips)
    for one, after in zip(chips, chips[1:], strict=False):
        assert (one.row, one.x + one.label.width) < (after.row, after.x)


@pytest.mark.parametrize("shape", [(1, 1), (5, 500), (20, 20), (60, 100), (100, 60), (900, 30), (64, 40)])
def test_pictures_too_small_for_a_legend_come_out_all_the_same(shape: tuple[int, int]) -> None:
    picture = overlay(np.zeros((*shape, 3), np.uint8), random_mask(*shape, len(STREET)), STREET)
    assert picture.shape == (*shape, 3)


def test_a_picture_without_classes_has_no_legend() -> None:
    mask = np.full((360, 480), UNLABELLED, np.uint16)
    image = np.full((360, 480, 3), 90, np.uint8)
    np.testing.assert_array_equal(overlay(image, mask, STREET), image)


@pytest.fixture(params=["system", "pillow", "bitmap"])
def fonts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fonts of this machine, Pillow's own alone, and what Pillow has before 10.1."""
    if request.param != "system":
        monkeypatch.setattr(visualization, "_FONT_FILES", ("no-such-font.ttf",))
    if request.param == "bitmap":
        monkeypatch.setattr(ImageFont, "load_default", old_load_default)
    visualization._fonts.cache_clear()
    visualization._text.cache_clear()
    yield
    visualization._fonts.cache_clear()
    visualization._text.cache_clear()


def old_load_default() -> ImageFont.ImageFont:
    return ImageFont.load_default_imagefont()


@pytest.mark.usefixtures("fonts")
def test_names_in_any_script_can_be_drawn() -> None:
    names = [
        "道路",
        "здание",
        "رصيف",
        "दो पहिया",
        "👩\u200d🚒",
        "café",
        "a\u00a0b\u3000c",
        "W" * 200,
        "i" * 200,
    ]
    vocabulary = Vocabulary.parse(names)
    mask = np.resize(np.arange(len(names), dtype=np.uint16), (720, 1280))
    image = np.zeros((720, 1280, 3), np.uint8)
    picture = overlay(image, mask, vocabulary)
    assert legend_colours(picture, vocabulary) == set(names)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40))
def test_any_text_is_shown_within_its_width(text: str) -> None:
    shown, font = visualization._text(text, 12, 120)
    assert visualization._width(shown, font) <= 121 or shown == "..."


@pytest.mark.usefixtures("fonts")
def test_latin_names_are_drawn_as_they_are_and_long_ones_cut() -> None:
    assert visualization._text("traffic light", 14, 300)[0] == "traffic light"
    cut, font = visualization._text("a fence along the left side of the road " * 4, 14, 200)
    assert cut.startswith("a fence along") and cut.endswith("...") and visualization._width(cut, font) <= 200


def test_characters_that_no_font_has_become_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    only_pillow = (ImageFont.load_default(14),)
    monkeypatch.setattr(visualization, "_fonts", lambda size: only_pillow)
    visualization._text.cache_clear()
    assert visualization._text("路 car", 14, 300)[0] == "? car"
    visualization._text.cache_clear()

"""The legend of an overlay: what it names, where, and in which fonts."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ImageFont

from errseg_model import legend
from errseg_model.result import UNLABELLED
from errseg_model.visualization import overlay, palette
from errseg_model.vocabulary import Vocabulary

STREET = Vocabulary.parse(["road", "sidewalk", "building", "car", "sky", "dragon", "unicorn"])


def legend_colours(picture: NDArray[np.uint8], vocabulary: Vocabulary) -> set[str]:
    """The names whose colour fills a square of 8 x 8 pixels somewhere in the picture."""
    found = set()
    for name, colour in zip(vocabulary.names, palette(vocabulary), strict=True):
        same = (picture == colour).all(axis=2).astype(np.uint8)
        if cv2.erode(same, np.ones((8, 8), np.uint8)).any():
            found.add(name)
    return found


@pytest.mark.parametrize(("height", "width"), [(360, 480), (720, 1280), (480, 360)])
def test_the_legend_names_what_is_in_the_picture(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((height, width), np.uint16)
    mask[:, : width // 3] = 4
    mask[0, :9] = 5
    mask[-height // 4 :] = UNLABELLED
    image = np.full((height, width, 3), 200, np.uint8)
    picture = overlay(image, mask, STREET)
    monkeypatch.setattr("errseg_model.visualization.draw_legend", lambda *arguments: None)
    plain = overlay(image, mask, STREET)
    assert legend_colours(plain, STREET) == set()
    assert legend_colours(picture, STREET) == {"road", "sky", "dragon"}
    changed = np.flatnonzero((plain != picture).any(axis=(1, 2)))
    assert changed.min() >= 0.7 * height and changed.max() == height - 1


def test_the_largest_classes_come_first_and_the_rest_is_counted() -> None:
    vocabulary = Vocabulary.parse([f"thing {number}" for number in range(200)])
    values = np.repeat(np.arange(200), np.arange(1, 201) * 8).astype(np.uint16)
    mask = values.reshape(400, 402)
    labels = legend.labels_of(mask, vocabulary.names, palette(vocabulary), 12, 200)
    assert [label.text.rsplit(" ", 1)[0] for label in labels] == [f"thing {number}" for number in range(199, -1, -1)]
    chips, rows = legend.arrange(labels, 12, 402, 6)
    assert 1 < rows <= 6
    assert chips[-1].label.text == f"+ {200 - len(chips) + 1} more"
    assert [chip.label for chip in chips[:-1]] == labels[: len(chips) - 1]
    assert all(chip.x + chip.label.width <= 402 for chip in chips)
    for one, after in zip(chips, chips[1:], strict=False):
        assert (one.row, one.x + one.label.width) < (after.row, after.x)


@pytest.mark.parametrize("shape", [(1, 1), (5, 500), (20, 20), (60, 100), (100, 60), (900, 30), (64, 40)])
def test_pictures_too_small_for_a_legend_come_out_all_the_same(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(0, len(STREET), shape).astype(np.uint16)
    picture = overlay(np.zeros((*shape, 3), np.uint8), mask, STREET)
    assert picture.shape == (*shape, 3)


def test_a_picture_without_classes_has_no_legend() -> None:
    mask = np.full((360, 480), UNLABELLED, np.uint16)
    image = np.full((360, 480, 3), 90, np.uint8)
    np.testing.assert_array_equal(overlay(image, mask, STREET), image)


@pytest.fixture(params=["system", "pillow", "bitmap"])
def fonts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fonts of this machine, Pillow's own alone, and what Pillow has before 10.1."""
    if request.param != "system":
        monkeypatch.setattr(legend, "FONT_FILES", ("no-such-font.ttf",))
    if request.param == "bitmap":
        monkeypatch.setattr(ImageFont, "load_default", old_load_default)
    legend.fonts_of.cache_clear()
    legend.text_of.cache_clear()
    yield
    legend.fonts_of.cache_clear()
    legend.text_of.cache_clear()


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
    shown, font = legend.text_of(text, 12, 120)
    assert legend.width_of(shown, font) <= 121 or shown == "..."


@pytest.mark.usefixtures("fonts")
def test_latin_names_are_drawn_as_they_are_and_long_ones_cut() -> None:
    assert legend.text_of("traffic light", 14, 300)[0] == "traffic light"
    cut, font = legend.text_of("a fence along the left side of the road " * 4, 14, 200)
    assert cut.startswith("a fence along") and cut.endswith("...") and legend.width_of(cut, font) <= 200


def test_characters_that_no_font_has_become_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    only_pillow = (ImageFont.load_default(14),)
    monkeypatch.setattr(legend, "fonts_of", lambda size: only_pillow)
    legend.text_of.cache_clear()
    assert legend.text_of("路 car", 14, 300)[0] == "? car"
    legend.text_of.cache_clear()

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from errseg_model.result import UNLABELLED
from errseg_model.visualization import palette
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_ros.evaluate_bag.exhibits import EXHIBITS, Painter, Pictures, Shelf
from errseg_ros.evaluate_bag.rows import Row

PICTURE = np.zeros((2, 2, 3), np.uint8)


def row(seconds: float, miou: float | None, confidence: float = 0.5) -> Row:
    return Row(0, 0, seconds, 0, 1.0, confidence, 0.0, np.array([4]), 4, None, None, miou, miou)


def offered(highest: bool, rows: Iterable[Row]) -> list[tuple[float, float]]:
    """Seconds and score of what is kept, the first one first."""
    shelf = Shelf(highest)
    for place, entry in enumerate(rows):
        shelf.offer(place, entry, lambda: Pictures(PICTURE, None, PICTURE, {}))
    assert len(shelf.candidates) <= 2 * EXHIBITS
    return [(c.seconds, c.score) for c in shelf.chosen()]


def test_the_lowest_and_the_highest_scores_are_kept() -> None:
    rows = [row(10.0 * n, score) for n, score in enumerate([0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.6, 0.8])]
    assert [score for _, score in offered(False, rows)] == [0.1, 0.2, 0.3, 0.5]
    assert [score for _, score in offered(True, rows)] == [0.9, 0.8, 0.7, 0.6]


def test_no_two_images_of_the_same_moment_are_kept() -> None:
    rows = [row(n / 10, score) for n, score in enumerate(np.linspace(0.9, 0.1, 100).tolist())]
    kept = offered(False, rows)
    assert len(kept) == EXHIBITS and kept[0] == (9.9, 0.1)
    moments = sorted(seconds for seconds, _ in kept)
    assert all(later - earlier >= 2 for earlier, later in zip(moments, moments[1:], strict=False))


def test_images_without_truth_come_after_all_others() -> None:
    rows = [row(0, None, 0.01), row(10, 0.9), row(20, 0.8), row(30, 0.7), row(40, 0.6)]
    assert [score for _, score in offered(False, rows)] == [0.6, 0.7, 0.8, 0.9]
    assert offered(False, [row(0, None, 0.4), row(10, None, 0.2)]) == [(10, 0.2), (0, 0.4)]


def test_an_image_is_drawn_only_when_it_is_kept() -> None:
    drawn = []
    shelf = Shelf(highest=False)
    for n, score in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.85]):
        shelf.offer(n, row(10.0 * n, score), lambda n=n: drawn.append(n) or Pictures(PICTURE, None, PICTURE, {}))
    assert drawn == [0, 1, 2, 3, 4, 5, 6, 7]


VOCABULARY = Vocabulary.from_argument("road; sky, heaven; dragon")
CLASSES = [VocabularyEntry(name) for name in ("heaven", "road", "fence")]


def test_truth_has_the_colours_of_the_mask() -> None:
    mask = np.array([[0, 1, 2, UNLABELLED]], np.uint16)
    truth = np.array([[1, 0, 2, 3]], np.uint16)
    pictures = Painter(VOCABULARY, CLASSES).draw(np.zeros((1, 4, 3), np.uint8), mask, truth)
    colours = palette(Vocabulary.from_argument("road; sky; dragon; fence"))
    np.testing.assert_array_equal(pictures.mask[0], [*colours[:3], (0, 0, 0)])
    assert pictures.truth is not None
    np.testing.assert_array_equal(pictures.truth[0], [colours[0], colours[1], colours[3], (0, 0, 0)])
    assert pictures.wrong is not None  # a dragon is no fence; what does not count cannot be wrong
    assert pictures.wrong.tolist() == [[False, False, True, False]]
    assert list(pictures.colours) == ["road", "sky", "dragon", "fence"]
    assert pictures.colours["fence"] == tuple(colours[3].tolist())


@pytest.mark.parametrize(("size", "small"), [((720, 1280), (360, 640)), ((30, 40), (30, 40)), ((1, 2000), (1, 640))])
def test_pictures_are_at_most_640_wide(size: tuple[int, int], small: tuple[int, int]) -> None:
    mask = np.zeros(size, np.uint16)
    image = np.full((*size, 3), 7, np.uint8)
    pictures = Painter(VOCABULARY, CLASSES).draw(image, mask, None)
    assert pictures.image.shape == pictures.mask.shape == (*small, 3)
    assert pictures.truth is None and pictures.wrong is None and list(pictures.colours) == ["road"]
    assert not np.shares_memory(pictures.image, image)


def test_class_of_the_truth_that_shares_a_word_with_several_entries_is_drawn_once() -> None:
    vocabulary = Vocabulary.from_argument("van, car; car")
    painter = Painter(vocabulary, [VocabularyEntry("car")])
    truth = np.zeros((1, 1), np.uint16)
    pictures = painter.draw(np.zeros((1, 1, 3), np.uint8), np.array([[1]], np.uint16), truth)
    assert set(pictures.colours) == {"van", "car"}
    assert pictures.wrong is not None and not pictures.wrong.any()


def test_a_pixel_without_a_class_is_wrong_where_the_truth_has_one() -> None:
    truth, mask = np.array([[1, 3]], np.uint16), np.array([[UNLABELLED, UNLABELLED]], np.uint16)
    pictures = Painter(VOCABULARY, CLASSES).draw(np.zeros((1, 2, 3), np.uint8), mask, truth)
    assert pictures.wrong is not None and pictures.wrong.tolist() == [[True, False]]

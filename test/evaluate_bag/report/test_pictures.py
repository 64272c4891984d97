from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from errseg_ros.evaluate_bag.report.pictures import MAX_SIDE, Picture, colour_counts, drawing, marked, photo

RED, BLUE = (200, 10, 10), (10, 10, 200)


def decode(picture: Picture) -> NDArray[np.uint8]:
    """RGB."""
    data = np.frombuffer(base64.b64decode(picture.uri.partition(",")[2]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    assert (picture.height, picture.width) == image.shape[:2]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.parametrize("colours", [2, 300])
def test_a_mask_keeps_its_very_colours(colours: int) -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 256, (colours, 3), np.uint8)[rng.integers(0, colours, (40, 60))]
    picture = drawing(mask)
    assert picture.uri.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(decode(picture), mask)


def test_a_large_mask_shrinks_without_new_colours() -> None:
    mask = np.full((900, 2 * MAX_SIDE, 3), RED, np.uint8)
    mask[:, 777:] = BLUE
    small = decode(drawing(mask))
    assert small.shape == (450, MAX_SIDE, 3)
    assert set(map(tuple, small.reshape(-1, 3).tolist())) == {RED, BLUE}


def test_a_photo_is_a_jpeg_like_itself() -> None:
    image = np.zeros((MAX_SIDE * 2, 300, 3), np.uint8)
    image[..., 0] = 180
    picture = photo(image)
    assert picture.uri.startswith("data:image/jpeg;base64,")
    assert (picture.width, picture.height) == (150, MAX_SIDE)
    assert np.abs(decode(picture).astype(int) - (180, 0, 0)).max() < 8


def test_what_is_marked_is_red_and_the_rest_is_pale_and_grey() -> None:
    image = np.full((32, 64, 3), BLUE, np.uint8)
    places = np.zeros((32, 64), bool)
    places[:, 32:] = True
    picture = decode(marked(image, places)).astype(int)
    rest, red = picture[:, :16].reshape(-1, 3), picture[:, 48:].reshape(-1, 3)
    assert rest.min() > 110 and np.ptp(rest, axis=1).max() < 8
    assert (red[:, 0] - red[:, 1:].max(axis=1)).min() > 100


def test_pixels_of_each_colour() -> None:
    mask = np.full((4, 5, 3), RED, np.uint8)
    mask[0, :2] = BLUE
    assert colour_counts(mask, None, mask) == {RED: 36, BLUE: 4}

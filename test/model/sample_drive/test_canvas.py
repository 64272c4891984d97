from __future__ import annotations

import numpy as np
import pytest

from errseg_model.sample_drive.canvas import FLAT_BELOW, OPEN, SOLID, Canvas, Image, Texture

IDENTITY: Image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 4, axis=2)
SQUARE = np.array([[10.0, 10.0], [50.0, 10.0], [50.0, 50.0], [10.0, 50.0]])


def halves(left: int, right: int) -> Image:
    """A picture (40, 40, 4), grey 100, whose fourth channel differs between left and right."""
    picture = np.full((40, 40, 4), 100, np.uint8)
    picture[:, :20, 3], picture[:, 20:, 3] = left, right
    return picture


def test_colour_and_class_agree_to_the_pixel() -> None:
    canvas = Canvas(40, 40, 1)
    canvas.polygon(np.array([[3.3, 2.0], [30.7, 8.2], [12.0, 35.0]]), (200, 10, 20, 8))
    image, labels = canvas.reduce()
    np.testing.assert_array_equal((image == (200, 10, 20)).all(2), labels == 8)
    assert 100 < (labels == 8).sum() < 800


def test_edges_are_smooth_in_the_image_and_sharp_in_the_labels() -> None:
    canvas = Canvas(40, 40, 2)
    canvas.convex(np.array([[5.0, 5.0], [70.0, 20.0], [30.0, 75.0]]), (250, 250, 250, 8))
    image, labels = canvas.reduce()
    assert set(np.unique(labels)) == {0, 8}
    assert len(np.unique(image)) > 2


def test_texture_is_cut_to_its_corners() -> None:
    canvas = Canvas(60, 60, 1)
    canvas.textured(SQUARE, Texture(halves(5, 5), 5), IDENTITY)
    ids = canvas.pixels[..., 3]
    assert (ids[11:49, 11:49] == 5).all() and (ids == 5).sum() <= 42 * 42
    assert (canvas.pixels[30, 30, :3] == 100).all()


def test_cutout_shows_what_lies_behind_and_keeps_its_class() -> None:
    canvas = Canvas(60, 60, 1)
    canvas.pixels[...] = (7, 7, 7, 1)
    canvas.textured(SQUARE, Texture(halves(SOLID, OPEN), 5, cutout=True), IDENTITY)
    assert canvas.pixels[30, 15].tolist() == [100, 100, 100, 5]
    assert canvas.pixels[30, 45].tolist() == [7, 7, 7, 5]


def test_sprite_stands_on_its_foot_and_leaves_the_rest_alone() -> None:
    canvas = Canvas(60, 60, 1)
    canvas.pixels[..., 3] = 1
    canvas.sprite(np.array([30.0, 50.0]), 40.0, Texture(halves(SOLID, 0), 5, cutout=True), IDENTITY)
    rows, columns = np.nonzero(canvas.pixels[..., 3] == 5)
    assert abs(rows.min() - 10) <= 1 and abs(rows.max() - 49) <= 1
    assert abs(columns.min() - 10) <= 1 and abs(columns.max() - 29) <= 1


def test_crop_leaves_out_the_left_of_the_picture() -> None:
    picture = halves(5, 5)
    picture[:, 20:, :3] = 200
    canvas = Canvas(60, 60, 1)
    canvas.textured(SQUARE, Texture(picture, 5), IDENTITY, crop=0.5)
    assert (canvas.pixels[30, 14:48, :3] == 200).all()


def test_thin_pictures_become_their_mean_colour() -> None:
    picture = halves(5, 5)
    picture[::2, :, :3] = 0
    thin = np.array([[5.0, 30.0], [55.0, 30.0], [55.0, 30.0 + FLAT_BELOW / 2], [5.0, 30.0 + FLAT_BELOW / 2]])
    canvas = Canvas(60, 60, 1)
    canvas.textured(thin, Texture(picture, 5), IDENTITY)
    assert canvas.pixels[31, 30].tolist() == [50, 50, 50, 5]


@pytest.mark.parametrize(("width", "columns"), [(1000.0, 40), (40.0, 40), (19.0, 20), (5.0, 5), (0.1, 5)])
def test_levels_are_the_smallest_that_have_no_fewer_pixels_than_are_drawn(width: float, columns: int) -> None:
    level = Texture(halves(5, 5), 5).level(width, 1000.0)
    assert level.shape[:2] == (40, columns)


@pytest.mark.parametrize("corners", [SQUARE + 500, SQUARE - 500, SQUARE * 1e6])
def test_drawing_far_outside_does_no_harm(corners: np.ndarray) -> None:
    canvas = Canvas(60, 60, 1)
    canvas.textured(corners, Texture(halves(5, 5), 5), IDENTITY)
    canvas.convex(corners, (9, 9, 9, 9))
    canvas.line(corners[0], corners[1], 3.0, (9, 9, 9, 9))
    canvas.disc(corners[0], 3.0, (9, 9, 9, 9))
    assert (canvas.pixels == 0).all()

"""A labelled picture becomes a training crop."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.training.recipe import TrainingRecipe

ASPECT_JITTER = 0.2
"""Width is scaled by up to exp(+-0.2) against height: cameras of other shapes are squeezed to the input size."""

RARE_SHARE = 0.5
"""Share of the crops that are centred on a pixel of a class drawn evenly."""


def crop(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    recipe: TrainingRecipe,
    input_size: tuple[int, int],
    void: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Random scale, aspect, place, flip and colour.

    Args:
        image, labels: (H, W, 3) RGB and (H, W).
        input_size: what the model resizes a whole picture to; scale 1 is that size.
        void: label for what lies outside the picture.

    Returns:
        (h, w, 3) and (h, w) of the recipe's crop size.
    """
    low, high = np.log(recipe.scale)
    scale = np.exp(rng.uniform(low, high))
    aspect = np.exp(rng.uniform(-ASPECT_JITTER, ASPECT_JITTER) / 2)
    height = max(recipe.crop[0] // 2, round(input_size[0] * scale / aspect))
    width = max(recipe.crop[1] // 2, round(input_size[1] * scale * aspect))
    top, left = _place(labels, (height, width), recipe.crop, void, rng)
    image, labels = _resize(image, labels, (height, width))
    # A crop that reaches beyond the picture mirrors it there; what is mirrored does not count.
    matrix = np.array([[1, 0, -left], [0, 1, -top]], np.float32)
    size = recipe.crop[::-1]
    pixels = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    ids = cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST, borderValue=void)
    if rng.random() < 0.5:
        pixels, ids = pixels[:, ::-1], ids[:, ::-1]
    return _recolour(pixels, rng), np.ascontiguousarray(ids, np.uint8)


def _resize(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both at `size` (height, width); shrinking is filtered first, as the model's preprocessing does."""
    smaller = size[0] * size[1] < labels.size
    pixels = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    ids = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), np.asarray(ids, np.uint8)


def _place(
    labels: NDArray[np.uint8],
    size: tuple[int, int],
    crop_size: tuple[int, int],
    void: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Top left corner of the crop in the picture scaled to `size`; negative where the picture is smaller."""
    room = np.array(size) - crop_size
    if rng.random() < RARE_SHARE:
        present = np.unique(labels)
        rows, columns = np.nonzero(labels == rng.choice(present[present != void]))
        chosen = rng.integers(len(rows))
        centre = np.array([rows[chosen], columns[chosen]]) * size / labels.shape
        corner = centre - rng.uniform(0.2, 0.8, 2) * crop_size
    else:
        corner = rng.uniform(0, 1, 2) * room
    top, left = np.clip(corner, np.minimum(room, 0), np.maximum(room, 0)).astype(int)
    return int(top), int(left)


def _recolour(image: NDArray[Any], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation, colour temperature and, now and then, blur."""
    pixels = image.astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * rng.uniform(0.5, 1.5)
    pixels = (pixels - 127.5) * rng.uniform(0.7, 1.35) + 127.5 * rng.uniform(0.65, 1.35)
    pixels *= rng.uniform(0.93, 1.07, 3).astype(np.float32)
    if rng.random() < 0.15:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.2)))
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)

"""A labelled picture becomes a training crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.training.recipe import TrainingRecipe

HUE = 9
"""Hue is turned by up to this many steps of 2 degrees."""

GAMMA = 0.3
"""Gamma is up to exp(+-0.3)."""

GREY_SHARE = 0.05
BLUR_SHARE = 0.2
"""Shares of the crops without colour, and of those that are blurred."""


def crop(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint16],
    recipe: TrainingRecipe,
    whole: tuple[int, int],
    void: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Random scale, aspect, place, flip and colour.

    Args:
        image, labels: (H, W, 3) RGB and (H, W).
        recipe: crop size, scale, jitter and share of rare classes.
        whole: (height, width) of the whole picture at scale 1.
        void: label for what lies outside the picture.

    Returns:
        (h, w, 3) and (h, w) of the recipe's crop size.
    """
    low, high = np.log(recipe.scale)
    scale = np.exp(rng.uniform(low, high))
    aspect = np.exp(rng.uniform(-recipe.aspect_jitter, recipe.aspect_jitter) / 2)
    height = max(recipe.crop[0] // 2, round(whole[0] * scale / aspect))
    width = max(recipe.crop[1] // 2, round(whole[1] * scale * aspect))
    top, left = _place(labels, (height, width), recipe, void, rng)
    image, labels = _resize(image, labels, (height, width))
    # A crop that reaches beyond the picture mirrors it there; what is mirrored has no label.
    matrix = np.array([[1, 0, -left], [0, 1, -top]], np.float32)
    size = recipe.crop[::-1]
    pixels = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    ids = cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST, borderValue=void)
    if rng.random() < 0.5:
        pixels, ids = pixels[:, ::-1], ids[:, ::-1]
    return _recolour(np.asarray(pixels, np.uint8), rng), np.ascontiguousarray(ids, np.uint16)


def _resize(
    image: NDArray[np.uint8], labels: NDArray[np.uint16], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Both at `size` (height, width); shrinking is filtered first, as the model's preprocessing does."""
    smaller = size[0] * size[1] < labels.size
    pixels = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    # EXACT takes the pixel in the middle; plain INTER_NEAREST the one above on the left, half a pixel beside the image.
    ids = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(pixels, np.uint8), np.asarray(ids, np.uint16)


def _place(
    labels: NDArray[np.uint16],
    size: tuple[int, int],
    recipe: TrainingRecipe,
    void: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Top left corner of the crop in the picture scaled to `size`; negative where the picture is smaller."""
    room = np.array(size) - recipe.crop
    present = np.unique(labels)
    present = present[present != void]
    if rng.random() < recipe.rare_share and len(present):
        rows, columns = np.nonzero(labels == rng.choice(present))
        chosen = rng.integers(len(rows))
        centre = np.array([rows[chosen], columns[chosen]]) * size / labels.shape
        corner = centre - rng.uniform(0.2, 0.8, 2) * recipe.crop
    else:
        corner = rng.uniform(0, 1, 2) * room
    top, left = np.clip(corner, np.minimum(room, 0), np.maximum(room, 0)).astype(int)
    return int(top), int(left)


def _recolour(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Hue, saturation, contrast, brightness, gamma, colour temperature and, now and then, blur or no colour."""
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    turned = (hue.astype(np.int32) + rng.integers(-HUE, HUE + 1)) % 180  # OpenCV halves the degrees
    turned_image = cv2.cvtColor(cv2.merge([turned.astype(np.uint8), saturation, value]), cv2.COLOR_HSV2RGB)
    pixels = turned_image.astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * (0.0 if rng.random() < GREY_SHARE else rng.uniform(0.5, 1.5))
    pixels = (pixels - 127.5) * rng.uniform(0.7, 1.35) + 127.5 * rng.uniform(0.65, 1.35)
    pixels *= rng.uniform(0.93, 1.07, 3).astype(np.float32)
    pixels = 255 * (np.clip(pixels, 0, 255) / 255) ** np.float32(np.exp(rng.uniform(-GAMMA, GAMMA)))
    if rng.random() < BLUR_SHARE:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.5)))
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)

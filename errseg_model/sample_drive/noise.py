"""Smooth random fields for textures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def resized(field: NDArray[np.float32], height: int, width: int, how: int) -> NDArray[np.float32]:
    """A coarse field (h, w) stretched to (height, width) with an interpolation of OpenCV."""
    return np.asarray(cv2.resize(field, (width, height), interpolation=how), np.float32)


def fractal(rng: np.random.Generator, height: int, width: int, coarse: int, octaves: int) -> NDArray[np.float32]:
    """(height, width) noise with mean 0 and deviation 1 that repeats at its borders.

    `coarse` is the number of cells across in the first octave.
    """
    field = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        cells = coarse << octave
        rows = min(max(int(cells * height / width), 2), height)
        cols = min(cells, width)
        small = rng.standard_normal((rows, cols)).astype(np.float32)
        wrapped = cv2.copyMakeBorder(small, 2, 2, 2, 2, cv2.BORDER_WRAP)
        sy, sx = height / rows, width / cols
        matrix = np.array([[1 / sx, 0, 1.5 + 0.5 / sx], [0, 1 / sy, 1.5 + 0.5 / sy]], np.float32)
        field += weight * cv2.warpAffine(
            wrapped, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        weight *= 0.55
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)

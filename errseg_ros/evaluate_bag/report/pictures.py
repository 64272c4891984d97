"""Pictures inside the page."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errseg_ros.evaluate_bag.report.colours import Colour

MAX_SIDE = 800
"""Pixels of the longer side: two fill a screen side by side, and the page stays small."""
_JPEG_QUALITY = 85
_MARK = (214, 30, 40)
_PALE = (118, 235)  # what black and white become


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it, with its size in pixels."""

    uri: str
    width: int
    height: int


def photo(image: NDArray[np.uint8]) -> Picture:
    """An image (H, W, 3) RGB, as JPEG."""
    return _picture(Image.fromarray(_fitted(image, cv2.INTER_AREA)), "JPEG", quality=_JPEG_QUALITY)


def marked(image: NDArray[np.uint8], places: NDArray[np.bool_]) -> Picture:
    """An image (H, W, 3) RGB in pale grey, and in red where `places` (H, W) says so."""
    grey = np.interp(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 255), _PALE)
    pale = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.uint8)
    pale[places] = _MARK
    return photo(pale)


def drawing(mask: NDArray[np.uint8]) -> Picture:
    """A picture (H, W, 3) RGB of few colours, as PNG with exactly these."""
    mask = _fitted(mask, cv2.INTER_NEAREST)
    found, indices = np.unique(_packed(mask), return_inverse=True)
    if len(found) > 256:
        return _picture(Image.fromarray(mask), "PNG", optimize=True)
    indexed = Image.fromarray(indices.reshape(mask.shape[:2]).astype(np.uint8))
    indexed.putpalette(_unpacked(found).tobytes())
    return _picture(indexed, "PNG", optimize=True)


def colour_counts(*masks: NDArray[np.uint8] | None) -> Counter[Colour]:
    """How many pixels of pictures of classes have each colour."""
    counts: Counter[Colour] = Counter()
    for mask in masks:
        if mask is not None:
            found, pixels = np.unique(_packed(mask), return_counts=True)
            for colour, number in zip(_unpacked(found).tolist(), pixels.tolist(), strict=True):
                counts[tuple(colour)] += number
    return counts


def _packed(mask: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(H, W, 3) to one number for each colour, (H, W)."""
    red, green, blue = (mask[..., channel].astype(np.uint32) for channel in range(3))
    return red << np.uint32(16) | green << np.uint32(8) | blue


def _unpacked(packed: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(N,) to (N, 3)."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8)


def _fitted(image: NDArray[np.uint8], interpolation: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def _picture(image: Image.Image, kind: str, **options: int | bool) -> Picture:
    content = BytesIO()
    image.save(content, kind, **options)
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    return Picture(f"data:image/{kind.lower()};base64,{encoded}", image.width, image.height)

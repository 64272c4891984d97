"""Pictures inside the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errseg_ros.evaluate_bag.report.colours import UNLABELLED

MAX_SIDE = 800
"""Pixels of the longer side: two fill a screen side by side, and the page stays small."""
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it, with its size in pixels."""

    uri: str
    width: int
    height: int


def photo(image: NDArray[np.uint8]) -> Picture:
    """An image (H, W, 3) RGB, as JPEG."""
    return _picture(Image.fromarray(_fitted(image, cv2.INTER_AREA)), "JPEG", quality=_JPEG_QUALITY)


def drawing(mask: NDArray[np.uint8]) -> Picture:
    """A picture (H, W, 3) RGB of few colours, as PNG with exactly these."""
    mask = _fitted(mask, cv2.INTER_NEAREST)
    packed = mask.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, indices = np.unique(packed, return_inverse=True)
    if len(found) > 256:
        return _picture(Image.fromarray(mask), "PNG", optimize=True)
    indexed = Image.fromarray(indices.reshape(packed.shape).astype(np.uint8))
    indexed.putpalette(np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8).tobytes())
    return _picture(indexed, "PNG", optimize=True)


def has_unlabelled(mask: NDArray[np.uint8] | None) -> bool:
    """Whether a picture of classes has pixels without one."""
    return mask is not None and bool((mask == UNLABELLED).all(axis=2).any())


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

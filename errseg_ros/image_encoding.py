"""Results become the bytes of images: for messages, and for bags without ROS."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_JPEG_QUALITY = 90  # of 100: small letters stay sharp


def grey_scores(scores: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scores (H, W) in 0..1, rounded to 0..255."""
    return np.asarray(cv2.convertScaleAbs(scores, alpha=255), np.uint8)


def jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes (N,) of a picture (H, W, 3) RGB as JPEG. For people only: JPEG changes values."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1], np.uint8)

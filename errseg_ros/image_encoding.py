"""Results become the bytes of images: for messages, and for bags without ROS."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_JPEG_QUALITY = 90  # of 100: small letters stay sharp


def class_ids(mask: NDArray[np.uint16], table: NDArray[np.generic]) -> NDArray[np.generic]:
    """The ids (H, W) of a result's mask; `table` (65536,) is that of `class_ids.id_table`."""
    if table.dtype == np.uint8:  # of 255 positions at most: their low bytes differ, also from that of UNLABELLED
        return np.asarray(cv2.LUT(mask.astype(np.uint8), np.asarray(table[:256], np.uint8)))
    # Every value is in the table. To clip is faster than to check.
    return table.take(mask, mode="clip")


def grey_scores(scores: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scores (H, W) in 0..1, rounded to 0..255."""
    return np.asarray(cv2.convertScaleAbs(scores, alpha=255), np.uint8)


def jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes (N,) of a picture (H, W, 3) RGB as JPEG. For people only: JPEG changes values."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1], np.uint8)

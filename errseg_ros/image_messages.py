"""Results become image messages: `mask_message`, `score_message`, `image_message`, `jpeg_message`."""

from __future__ import annotations

import array
import sys

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from errseg_ros.image_encoding import class_ids, grey_scores, jpeg


def mask_message(header: Header, mask: NDArray[np.uint16], ids: NDArray[np.generic]) -> Image:
    """The mask with class ids.

    Args:
        header: of the image that the mask was computed from.
        mask: (H, W) positions in the vocabulary.
        ids: (65536,) id of every value of a mask (`class_ids.id_table`); uint8 gives a mono8 message, uint16 a
            mono16 message.
    """
    return _message(header, class_ids(mask, ids), "mono8" if ids.dtype == np.uint8 else "mono16")


def score_message(header: Header, scores: NDArray[np.float32], encoding: str) -> Image:
    """Scores (H, W) in 0..1 as they are (32FC1), or rounded to 0..255 (mono8)."""
    if encoding == "mono8":
        return _message(header, grey_scores(scores), encoding)
    return _message(header, scores, encoding)


def image_message(header: Header, image: NDArray[np.uint8]) -> Image:
    """A picture (H, W, 3) RGB as it is (rgb8)."""
    return _message(header, image, "rgb8")


def jpeg_message(header: Header, image: NDArray[np.uint8]) -> CompressedImage:
    """A picture (H, W, 3) RGB as JPEG. For people only: JPEG changes values."""
    message = CompressedImage(header=header, format="jpeg")
    message.data = _bytes(jpeg(image))
    return message


def _message(header: Header, pixels: NDArray[np.generic], encoding: str) -> Image:
    """An image message without padding. Its header is the given one, its bytes are a copy."""
    message = Image()
    message.header = header
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big")
    message.data = _bytes(pixels)
    message.step = len(message.data) // message.height
    return message


def _bytes(values: NDArray[np.generic]) -> array.array[int]:
    # Every other type is copied byte by byte through Python: 1000 times slower.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return data

"""Between ROS image messages and numpy.

In: `image_from_message` and `image_from_compressed` check a message and give (H, W, 3) uint8 RGB.
Out: `mask_message`, `score_message`, `image_message`, `jpeg_message`.

cv_bridge does the colours, but gets only what every version of it turns into the right picture: rows
without padding, this machine's byte order, 8 bits. Version 1.13 reads padded rows askew, fails on big-endian
data, takes 16UC1 for 8 bits and lacks half of the encodings; no version scales floats.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from errseg_model.errors import ImageError


@dataclass(frozen=True)
class _Encoding:
    """How the bytes of one encoding are laid out, and the 8 bit encoding that they are brought to."""

    dtype: np.dtype[np.generic]
    channels: int
    reduced: str


def _encodings() -> dict[str, _Encoding]:
    """Encodings of sensor_msgs/image_encodings. Generic ones have OpenCV's order of channels, as in RViz."""
    colours = {"mono": 1, "rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4}
    colours |= {f"bayer_{pattern}": 1 for pattern in ("rggb", "bggr", "gbrg", "grbg")}
    known = {
        f"{name}{bits}": _Encoding(np.dtype(dtype), channels, f"{name}8")
        for name, channels in colours.items()
        for bits, dtype in ((8, np.uint8), (16, np.uint16))
    }
    known |= {
        f"{depth}C{channels}": _Encoding(np.dtype(dtype), channels, reduced)
        for depth, dtype in (("8U", np.uint8), ("16U", np.uint16), ("32F", np.float32), ("64F", np.float64))
        for channels, reduced in ((1, "mono8"), (3, "bgr8"), (4, "bgra8"))
    }
    known |= {name: _Encoding(np.dtype(np.uint8), 2, "uyvy") for name in ("yuv422", "uyvy")}
    known |= {name: _Encoding(np.dtype(np.uint8), 2, "yuyv") for name in ("yuv422_yuy2", "yuyv")}
    return known


_ENCODINGS = _encodings()
# What not every version of cv_bridge turns into rgb8.
_OPENCV_CODES = {
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUYV,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
_BRIDGE = CvBridge()
_PADDING = 4096  # bytes that may follow the end of a JPEG or PNG
_JPEG_QUALITY = 90  # of 100: small letters stay sharp


def image_from_message(message: Image) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB of a sensor_msgs/Image; may share the message's memory.

    16 bit values are scaled to 8 bits (65535 becomes 255). Floats are taken as 0..1; what lies outside is cut
    off, and NaN and infinity are 0. Raises ImageError.
    """
    encoding = _check(message)
    row = message.width * encoding.channels * encoding.dtype.itemsize
    plain = encoding.dtype == np.uint8 and message.step == row and not message.is_bigendian
    if plain and message.encoding == encoding.reduced and encoding.reduced not in _OPENCV_CODES:
        return _through_bridge(message)
    pixels = _pixels(message, encoding, row)
    if encoding.dtype != np.uint8:
        pixels = _to_8_bits(pixels)
    code = _OPENCV_CODES.get(encoding.reduced)
    if code is None:
        return _through_bridge(_message(message.header, pixels, encoding.reduced))
    try:
        return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    except cv2.error as error:
        raise _not_convertible(message, error) from None


def image_from_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB of a sensor_msgs/CompressedImage (JPEG, PNG). Raises ImageError."""
    data = np.frombuffer(message.data, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if _is_whole(data) else None
    except cv2.error:  # a header that promises more pixels than OpenCV takes
        image = None
    if image is None:
        raise ImageError(
            f"expected a whole JPEG or PNG image, got {data.size} bytes of format {message.format[:40]!r} "
            "that cannot be decoded"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def mask_message(header: Header, mask: NDArray[np.uint16], ids: NDArray[np.generic]) -> Image:
    """The mask with class ids.

    Args:
        header: of the image that the mask was computed from.
        mask: (H, W) positions in the vocabulary.
        ids: (65536,) id of every position; uint8 gives a mono8 message, uint16 a mono16 message.
    """
    return _message(header, ids[mask], "mono8" if ids.dtype == np.uint8 else "mono16")


def score_message(header: Header, scores: NDArray[np.float32], encoding: str) -> Image:
    """Scores (H, W) in 0..1 as they are (32FC1), or rounded to 0..255 (mono8)."""
    if encoding == "mono8":
        return _message(header, cv2.convertScaleAbs(scores, alpha=255), encoding)
    return _message(header, scores, encoding)


def image_message(header: Header, image: NDArray[np.uint8]) -> Image:
    """A picture (H, W, 3) RGB as it is (rgb8)."""
    return _message(header, image, "rgb8")


def jpeg_message(header: Header, image: NDArray[np.uint8]) -> CompressedImage:
    """A picture (H, W, 3) RGB as JPEG. For people only: JPEG changes values."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1]
    message = CompressedImage(header=header, format="jpeg")
    message.data = _bytes(jpeg)
    return message


def _is_whole(data: NDArray[np.uint8]) -> bool:
    """Whether a JPEG or PNG has its end, after which there may be some padding; OpenCV fills up what is missing."""
    end = b"\xff\xd9" if data[:2].tobytes() == b"\xff\xd8" else b"IEND"
    return end in data[-_PADDING:].tobytes()


def _check(message: Image) -> _Encoding:
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(f"encoding {message.encoding[:40]!r} cannot be turned into rgb8; publish rgb8 or bgr8")
    if message.width == 0 or message.height == 0:
        raise ImageError(f"expected at least one pixel, got width {message.width}, height {message.height}")
    row = message.width * encoding.channels * encoding.dtype.itemsize
    if message.step < row:
        raise ImageError(
            f"expected a step of {row} bytes or more for {message.width} pixels of {message.encoding}, "
            f"got {message.step}"
        )
    size = message.step * message.height
    if len(message.data) < size:
        raise ImageError(
            f"expected {size} bytes (step {message.step} x height {message.height}), got {len(message.data)}"
        )
    return encoding


def _pixels(message: Image, encoding: _Encoding, row: int) -> NDArray[Any]:
    """The pixels (H, W, channels) in this machine's byte order, of any step."""
    rows = np.frombuffer(message.data, np.uint8, message.step * message.height).reshape(message.height, -1)
    pixels = np.ascontiguousarray(rows[:, :row]).view(encoding.dtype)
    if bool(message.is_bigendian) != (sys.byteorder == "big"):
        pixels = pixels.byteswap()
    return pixels.reshape(message.height, message.width, encoding.channels)


def _to_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        return _scaled(pixels, 255 / 65535)
    with np.errstate(invalid="ignore"):
        return _scaled(np.where(np.isfinite(pixels), np.clip(pixels, 0, 1), 0), 255)


def _scaled(pixels: NDArray[Any], factor: float) -> NDArray[np.uint8]:
    # OpenCV drops a last axis of one channel.
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=factor), np.uint8).reshape(pixels.shape)


def _through_bridge(message: Image) -> NDArray[np.uint8]:
    try:
        return np.asarray(_BRIDGE.imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except (CvBridgeError, cv2.error, KeyError, ValueError) as error:
        raise _not_convertible(message, error) from None


def _not_convertible(message: Image, error: Exception) -> ImageError:
    return ImageError(
        f"{message.width} x {message.height} pixels of {message.encoding} cannot be turned into rgb8: "
        f"{' '.join(str(error).split())[:200]}"
    )


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

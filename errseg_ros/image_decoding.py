"""Image messages become numpy arrays: `rgb_from_message`, `ids_from_image`.

Imports no ROS: a message is any object with the fields of sensor_msgs/Image or CompressedImage, be it from rclpy or
read from a bag by rosbags. OpenCV does the colours. cv_bridge would too, but its versions read padded rows askew,
fail on big-endian data or lack half of the encodings, and the compiled ones want the NumPy that they were built with.
Pillow opens compressed images: it tells their size before it decodes them, fails on what is cut off, and is silent,
where OpenCV fills up what is missing, and its libraries print a line for every broken image.
"""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from errseg_model.errors import ImageError


class ImageLike(Protocol):
    """The fields of sensor_msgs/Image that are read."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any
    """Anything with a buffer of bytes."""


class CompressedImageLike(Protocol):
    """The fields of sensor_msgs/CompressedImage that are read."""

    format: str
    data: Any


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
_TO_RGB = {
    "mono8": cv2.COLOR_GRAY2RGB,
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,  # OpenCV names a pattern by its second row and column
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUYV,
}
_ID_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1")
_COMPRESSED = ("JPEG", "PNG")

MAX_PIXELS = 1 << 26
"""Of an image: twice 8K. A JPEG of 600 bytes can promise 4 billion, which would take 12 GB to decode."""

# Pillow warns on stderr of what is judged here, with one log line: large images, broken metadata.
warnings.filterwarnings("ignore", module=r"PIL\.")


def is_compressed(message: ImageLike | CompressedImageLike) -> TypeGuard[CompressedImageLike]:
    """Whether it is a sensor_msgs/CompressedImage; else it is a sensor_msgs/Image. Its fields tell, as types differ."""
    return not hasattr(message, "encoding")


def rgb_from_message(message: ImageLike | CompressedImageLike) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB of an image message, raw or compressed. Raises ImageError."""
    return rgb_from_compressed(message) if is_compressed(message) else rgb_from_image(cast(ImageLike, message))


def rgb_from_image(message: ImageLike) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB of a sensor_msgs/Image; may share the message's memory.

    16 bit values are scaled to 8 bits (65535 becomes 255). Floats are taken as 0..1; what lies outside is cut
    off, and NaN and infinity are 0. Raises ImageError.
    """
    encoding = _check(message)
    pixels = _pixels(message, encoding)
    if encoding.dtype != np.uint8:
        pixels = _to_8_bits(pixels)
    if encoding.reduced == "rgb8":
        return pixels
    try:
        return np.asarray(cv2.cvtColor(pixels, _TO_RGB[encoding.reduced]), np.uint8)
    except cv2.error as error:
        raise _not_convertible(message, error) from None


def ids_from_image(message: ImageLike) -> NDArray[np.integer[Any]]:
    """The ids (H, W) of a mask or a label image, uint8 (mono8, 8UC1) or uint16 (mono16, 16UC1). Raises ImageError."""
    if message.encoding not in _ID_ENCODINGS:
        raise ImageError(
            f"expected an image of ids, {', '.join(_ID_ENCODINGS)}, got encoding {message.encoding[:40]!r}"
        )
    pixels: NDArray[np.integer[Any]] = _pixels(message, _check(message))[..., 0]
    return pixels


def rgb_from_compressed(message: CompressedImageLike) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB of a sensor_msgs/CompressedImage (JPEG, PNG). Raises ImageError.

    As in compressed_image_transport, grey pixels are a Bayer mosaic where the format says so, and an EXIF orientation
    turns nothing, so that the rows are those of the camera.
    """
    try:
        picture = _open(message.data)
        _check_pixels(*picture.size)
        return _rgb_from_picture(picture, _mosaic(message.format))
    except ImageError:
        raise
    except UnidentifiedImageError:
        reason = "it is neither"
    except Image.DecompressionBombError:  # beyond Pillow's own limit, which is higher
        reason = f"it promises more than {MAX_PIXELS} pixels"
    except Exception as error:  # Pillow has no exception of its own for what is broken
        reason = _one_line(error)
    raise ImageError(
        f"expected a whole JPEG or PNG image, got {len(message.data)} bytes of format {message.format[:40]!r}: {reason}"
    )


def _open(data: Any) -> Image.Image:
    """A picture that is not decoded yet; the checksums of a PNG are right."""
    file = io.BytesIO(data)
    picture = Image.open(file, formats=_COMPRESSED)
    if picture.format == "PNG":
        picture.verify()
        file.seek(0)
        picture = Image.open(file, formats=_COMPRESSED)
    return picture


def _mosaic(compressed_format: str) -> str | None:
    """The Bayer encoding of 8 bits of "bayer_rggb16; png compressed "; None where the codec was given other pixels."""
    encoding, separator, codec = compressed_format.partition(";")
    given = codec.partition("compressed")[2].strip()  # bgr8, mono8; nothing where pixels went in as they were
    is_mosaic = encoding.startswith("bayer_") and encoding in _ENCODINGS and separator and given in ("", encoding)
    return _ENCODINGS[encoding].reduced if is_mosaic else None


def _rgb_from_picture(picture: Image.Image, mosaic: str | None) -> NDArray[np.uint8]:
    if picture.mode.startswith("I"):  # 16 bit grey, which Pillow would cut off at 255
        grey = _to_8_bits(np.asarray(picture).astype(np.uint16))
    elif picture.mode == "L":
        grey = np.asarray(picture)
    else:
        return np.array(picture.convert("RGB"), np.uint8)  # a copy: PyTorch warns of memory that cannot be written
    return np.asarray(cv2.cvtColor(grey, _TO_RGB[mosaic or "mono8"]), np.uint8)


def _check(message: ImageLike) -> _Encoding:
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
    _check_pixels(message.width, message.height)
    return encoding


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"expected at most {MAX_PIXELS} pixels, got width {width}, height {height}")


def _pixels(message: ImageLike, encoding: _Encoding) -> NDArray[Any]:
    """The pixels (H, W, channels) in this machine's byte order, of any step."""
    row = message.width * encoding.channels * encoding.dtype.itemsize
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


def _not_convertible(message: ImageLike, error: Exception) -> ImageError:
    return ImageError(
        f"{message.width} x {message.height} pixels of {message.encoding} cannot be turned into rgb8: "
        f"{_one_line(error)}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

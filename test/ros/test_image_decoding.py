from __future__ import annotations

import sys
from array import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from errseg_model.errors import ImageError
from errseg_ros.image_decoding import ids_from_image, rgb_from_compressed, rgb_from_image

HEIGHT, WIDTH = 6, 8
RGB = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = RGB[..., 1]
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
OPAQUE = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)


def wide(pixels: np.ndarray) -> np.ndarray:
    """8 bits as 16: 255 is 65535."""
    return pixels.astype(np.uint16) * 257


def bayer(pattern: str) -> np.ndarray:
    """A mosaic of one colour, (200, 100, 50), so that the right demosaicing gives it back everywhere."""
    colour = {"r": 200, "g": 100, "b": 50}
    tile = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
    return np.tile(tile, (HEIGHT // 2, WIDTH // 2))


def uyvy(order: str) -> np.ndarray:
    """Grey pixels as luma with neutral chroma."""
    pixels = np.full((HEIGHT, WIDTH, 2), 128, np.uint8)
    pixels[..., order.index("y") % 2] = GREY
    return pixels


BAYER_RGB = np.broadcast_to(np.array([200, 100, 50], np.uint8), (HEIGHT, WIDTH, 3))
# Luma has the range 16..235.
LUMA_RGB = np.clip(np.rint((GREY_RGB.astype(float) - 16) * 255 / 219), 0, 255)

ENCODINGS = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "rgba8": (np.concatenate([RGB, OPAQUE], 2), RGB),
    "bgra8": (np.concatenate([RGB[..., ::-1], OPAQUE], 2), RGB),
    "mono8": (GREY, GREY_RGB),
    "8UC1": (GREY, GREY_RGB),
    "8UC3": (RGB[..., ::-1], RGB),
    "8UC4": (np.concatenate([RGB[..., ::-1], OPAQUE], 2), RGB),
    "rgb16": (wide(RGB), RGB),
    "bgr16": (wide(RGB[..., ::-1]), RGB),
    "rgba16": (wide(np.concatenate([RGB, OPAQUE], 2)), RGB),
    "bgra16": (wide(np.concatenate([RGB[..., ::-1], OPAQUE], 2)), RGB),
    "mono16": (wide(GREY), GREY_RGB),
    "16UC1": (wide(GREY), GREY_RGB),
    "16UC3": (wide(RGB[..., ::-1]), RGB),
    "32FC1": (GREY.astype(np.float32) / 255, GREY_RGB),
    "32FC3": (RGB[..., ::-1].astype(np.float32) / 255, RGB),
    "64FC1": (GREY.astype(np.float64) / 255, GREY_RGB),
    **{f"bayer_{pattern}8": (bayer(pattern), BAYER_RGB) for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{pattern}16": (wide(bayer(pattern)), BAYER_RGB) for pattern in ("rggb", "grbg")},
    "yuv422": (uyvy("uyvy"), LUMA_RGB),
    "uyvy": (uyvy("uyvy"), LUMA_RGB),
    "yuv422_yuy2": (uyvy("yuyv"), LUMA_RGB),
    "yuyv": (uyvy("yuyv"), LUMA_RGB),
}


def message(encoding: str, pixels: np.ndarray, *, padding: int = 0, big_endian: bool = False) -> Image:
    if big_endian != (sys.byteorder == "big"):
        pixels = pixels.byteswap()
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    result = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=rows.shape[1])
    result.is_bigendian = int(big_endian)
    result.data = array("B", rows.tobytes())
    return result


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("padding", [0, 1, 5, 64])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_with_every_step_becomes_the_same_picture(encoding: str, padding: int, big_endian: bool) -> None:
    pixels, expected = ENCODINGS[encoding]
    got = rgb_from_image(message(encoding, pixels, padding=padding, big_endian=big_endian))
    assert got.dtype == np.uint8 and got.shape == (HEIGHT, WIDTH, 3)
    # One more or less: OpenCV rounds luma in its own way.
    assert np.abs(got.astype(int) - expected).max() <= (1 if "yu" in encoding or "yv" in encoding else 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 3)])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "mono16", "32FC1"])
def test_small_and_odd_sizes(encoding: str, size: tuple[int, int]) -> None:
    pixels, expected = ENCODINGS[encoding]
    height, width = size
    got = rgb_from_image(message(encoding, pixels[:height, :width], padding=3))
    assert np.array_equal(got, expected[:height, :width])


def test_floats_outside_of_0_to_1_are_cut_off_and_what_is_no_number_is_black() -> None:
    pixels = np.array([[np.nan, np.inf, -np.inf, -3, 0, 0.5, 1, 300]], np.float32)
    got = rgb_from_image(message("32FC1", pixels))
    assert got[0, :, 0].tolist() == [0, 0, 0, 0, 0, 128, 255, 255]


def test_data_beyond_the_last_row_is_ignored() -> None:
    longer = message("rgb8", RGB)
    longer.data = array("B", bytes(longer.data) + b"tail")
    assert np.array_equal(rgb_from_image(longer), RGB)


def broken(**changes: object) -> Image:
    result = message("rgb8", RGB)
    for name, value in changes.items():
        setattr(result, name, value)
    return result


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (broken(encoding="jpeg2000"), ["'jpeg2000'", "rgb8"]),
        (broken(encoding=""), ["''", "rgb8"]),
        (broken(encoding="x" * 1000), ["xxx"]),
        (broken(encoding="16SC1"), ["'16SC1'"]),
        (broken(width=0), ["width 0", "height 6"]),
        (broken(height=0), ["width 8", "height 0"]),
        (broken(step=23), ["24 bytes or more", "got 23"]),
        (broken(step=0), ["24 bytes or more", "got 0"]),
        (broken(data=array("B", bytes(100))), ["144 bytes", "step 24 x height 6", "got 100"]),
        (broken(data=array("B")), ["144 bytes", "got 0"]),
        (broken(height=2**32 - 1), ["got 144"]),
        (broken(step=2**32 - 1), ["got 144"]),
        (broken(width=2**32 - 1, step=2**32 - 1), ["got 4294967295"]),
        (message("uyvy", uyvy("uyvy")[:, :7]), ["7 x 6", "uyvy"]),
    ],
)
def test_a_message_that_is_no_picture_is_refused_with_what_was_expected(bad: Image, words: list[str]) -> None:
    with pytest.raises(ImageError) as error:
        rgb_from_image(bad)
    text = str(error.value)
    assert all(word in text for word in words), text
    assert len(text) < 400 and "\n" not in text


def compressed(data: bytes) -> CompressedImage:
    return CompressedImage(format="jpeg", data=array("B", data))


SMOOTH = cv2.resize(RGB, (64, 48), interpolation=cv2.INTER_CUBIC)
JPEG = cv2.imencode(".jpg", SMOOTH[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
PNG = cv2.imencode(".png", SMOOTH[..., ::-1])[1].tobytes()


@pytest.mark.parametrize(("data", "tolerance"), [(JPEG, 12), (PNG, 0), (JPEG + bytes(100), 12)])
def test_a_compressed_image_is_decoded_as_rgb(data: bytes, tolerance: int) -> None:
    got = rgb_from_compressed(compressed(data))
    assert np.abs(got.astype(int) - SMOOTH).mean() <= tolerance / 4


@pytest.mark.parametrize(
    "data", [b"", b"no picture", JPEG[:-40], JPEG[:10], PNG[:-60], bytes(1000), JPEG[:2] + b"\xff\xd9"]
)
def test_a_compressed_image_that_is_cut_off_or_none_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=f"got {len(data)} bytes of format 'jpeg'"):
        rgb_from_compressed(compressed(data))


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16", "16UC1"])
@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
def test_ids_are_read_as_they_are(encoding: str, big_endian: bool) -> None:
    wide = encoding in ("mono16", "16UC1")
    ids = np.array([[0, 1, 255], [65535 if wide else 7, 2, 3]], np.uint16 if wide else np.uint8)
    got = ids_from_image(message(encoding, ids, padding=3, big_endian=big_endian))
    assert got.dtype == ids.dtype and np.array_equal(got, ids)


def test_an_image_in_colour_has_no_ids() -> None:
    with pytest.raises(ImageError, match="mono8, 8UC1, mono16, 16UC1, got encoding 'rgb8'"):
        ids_from_image(message("rgb8", RGB))

from __future__ import annotations

import io
import resource
import struct
import sys
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from errseg_model.errors import ImageError
from errseg_ros.image_decoding import (
    MAX_PIXELS,
    ids_from_image,
    is_compressed,
    rgb_from_compressed,
    rgb_from_image,
    rgb_from_message,
)

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


def test_a_message_tells_whether_it_is_raw_or_compressed() -> None:
    raw, packed = message("rgb8", RGB), compressed(cv2.imencode(".png", RGB[..., ::-1])[1].tobytes())
    assert (is_compressed(raw), is_compressed(packed)) == (False, True)
    np.testing.assert_array_equal(rgb_from_message(raw), RGB)
    np.testing.assert_array_equal(rgb_from_message(packed), RGB)


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


def of_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG or PNG whose header promises another size."""
    if data.startswith(b"\xff\xd8"):
        position = data.index(b"\xff\xc0") + 5
        return data[:position] + struct.pack(">HH", height, width) + data[position + 4 :]
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize("size", [(65535, 65535), (32767, 32767), (8193, 8192)])
@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
def test_a_header_that_promises_too_many_pixels_is_refused_before_they_are_decoded(
    data: bytes, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PIL.Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=f"{MAX_PIXELS} pixels"):
        rgb_from_compressed(compressed(of_size(data, *size)))


def test_a_raw_image_of_too_many_pixels_is_refused() -> None:
    height, width = 1 << 13, (1 << 13) + 1
    large = Plain(height, width, "mono8", 0, width, np.zeros(height * width, np.uint8))
    with pytest.raises(ImageError, match=f"at most {MAX_PIXELS} pixels, got width {width}, height {height}"):
        rgb_from_image(large)


def test_what_is_neither_jpeg_nor_png_is_not_decoded() -> None:
    bmp = cv2.imencode(".bmp", RGB)[1].tobytes()
    with pytest.raises(ImageError, match="it is neither"):
        rgb_from_compressed(compressed(bmp + b"IEND"))


def test_a_flipped_bit_in_a_png_is_found() -> None:
    middle = len(PNG) // 2
    with pytest.raises(ImageError, match="checksum"):
        rgb_from_compressed(compressed(PNG[:middle] + bytes([PNG[middle] ^ 1]) + PNG[middle + 1 :]))


def test_a_png_of_16_bits_is_scaled() -> None:
    png = cv2.imencode(".png", wide(GREY))[1].tobytes()
    assert np.array_equal(rgb_from_compressed(compressed(png)), GREY_RGB)


@pytest.mark.parametrize(
    ("layout", "pixels", "expected"),
    [
        ("bayer_rggb8; png compressed ", bayer("rggb"), BAYER_RGB),
        ("bayer_gbrg16; png compressed ", wide(bayer("gbrg")), BAYER_RGB),
        ("bayer_grbg8; jpeg compressed bayer_grbg8", bayer("grbg"), BAYER_RGB),
        ("bayer_rggb8; png compressed mono8", GREY, GREY_RGB),  # grey before the codec saw it
        ("bayer_rggb8; png compressed bgr8", RGB[..., ::-1], RGB),
        ("bayer_rggb8", GREY, GREY_RGB),
        ("bayer_none8; png compressed ", GREY, GREY_RGB),
        ("mono8; png compressed ", GREY, GREY_RGB),
    ],
)
def test_a_mosaic_is_told_by_the_format(layout: str, pixels: np.ndarray, expected: np.ndarray) -> None:
    """As compressed_image_transport writes it: the image's encoding, and what the codec was given."""
    png = cv2.imencode(".png", pixels)[1].tobytes()
    got = rgb_from_compressed(CompressedImage(format=layout, data=array("B", png)))
    assert np.array_equal(got, expected)


def test_an_orientation_in_the_metadata_turns_nothing() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    file = io.BytesIO()
    PIL.Image.fromarray(SMOOTH).save(file, "JPEG", exif=exif, quality=95)
    assert np.abs(rgb_from_compressed(compressed(file.getvalue())).astype(int) - SMOOTH).mean() <= 3


def test_broken_images_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Only the node's log tells of them, which leaves repetitions out; libjpeg and libpng would not."""
    middle = len(JPEG) // 2
    for data in (JPEG[:middle] + JPEG[middle + 9 :], JPEG[:-40], PNG[:-60]):
        try:
            rgb_from_compressed(compressed(data))
        except ImageError:
            continue
    assert capfd.readouterr() == ("", "")


@dataclass
class Plain:
    """The fields of sensor_msgs/Image, without the checks of rclpy."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


_SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 0.25, 1.0, -7.0, 1e30]


@st.composite
def images(draw: st.DrawFn) -> Plain:
    """Mostly right images of any encoding, step and byte order; often one field or more lies."""
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    dtype, channels = pixel_of(encoding)
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    step = width * channels * dtype.itemsize + draw(st.sampled_from([0, 0, 1, 3, 16]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = random.bytes(step * height)
    big = draw(st.sampled_from([0, 1, 255]))
    if dtype.kind == "f" and draw(st.booleans()):
        special = random.choice(_SPECIAL, step * height // dtype.itemsize).astype(dtype.newbyteorder("<>"[bool(big)]))
        data = special.tobytes().ljust(step * height, b"x")
    result = Plain(height, width, encoding, big, step, array("B", data))
    number = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
    lies: dict[str, st.SearchStrategy[Any]] = {
        "height": number,
        "width": number,
        "step": number,
        "encoding": st.text(max_size=60),
        "data": st.integers(-9, 9).map(lambda more: array("B", data[:more] if more < 0 else data + bytes(more))),
    }
    for name in draw(st.sets(st.sampled_from(sorted(lies)), max_size=2)):
        setattr(result, name, draw(lies[name]))
    return result


def pixel_of(encoding: str) -> tuple[np.dtype[Any], int]:
    """Type of a value, and how many make a pixel."""
    if "yu" in encoding or "yv" in encoding:
        return np.dtype(np.uint8), 2
    if encoding.startswith("bayer"):
        return np.dtype(np.uint16 if encoding.endswith("16") else np.uint8), 1
    pixels, _ = ENCODINGS[encoding]
    return pixels.dtype, 1 if pixels.ndim == 2 else pixels.shape[2]


def slow_rgb(image: Plain) -> list[list[list[float]]]:
    """The same picture value by value, for encodings without mosaic and chroma."""
    dtype, channels = pixel_of(image.encoding)
    code = "<>"[bool(image.is_bigendian)] + {"u1": "B", "u2": "H", "f4": "f", "f8": "d"}[dtype.str[1:]]

    def value(row: int, position: int) -> float:
        start = row * image.step + position * dtype.itemsize
        (number,) = struct.unpack(code, bytes(image.data[start : start + dtype.itemsize]))
        if dtype.kind == "f":
            return 255 * min(max(number, 0), 1) if np.isfinite(number) else 0
        return float(number) if dtype.itemsize == 1 else number / 257

    def pixel(row: int, column: int) -> list[float]:
        values = [value(row, column * channels + channel) for channel in range(channels)]
        if channels == 1:
            return values * 3
        return values[:3] if image.encoding.startswith("rgb") else values[2::-1]

    return [[pixel(row, column) for column in range(image.width)] for row in range(image.height)]


def result_or_refusal(decode: Callable[[Any], np.ndarray], message: Any) -> np.ndarray | ImageError:
    """The only two that there may be; a refusal is one clear line."""
    try:
        return decode(message)
    except ImageError as error:
        refusal = error
    assert 10 < len(str(refusal)) < 400 and "\n" not in str(refusal)
    return refusal


def is_right(image: Plain) -> bool:
    if image.encoding not in ENCODINGS:
        return False
    dtype, channels = pixel_of(image.encoding)
    row = image.width * channels * dtype.itemsize
    in_pairs = "yu" in image.encoding or "yv" in image.encoding
    return (
        image.height > 0
        and image.step >= row > 0
        and len(image.data) >= image.step * image.height
        and not (in_pairs and image.width % 2)
    )


@settings(max_examples=500, deadline=None)
@given(images())
def test_any_image_is_the_right_picture_or_refused_with_one_line(image: Plain) -> None:
    got = result_or_refusal(rgb_from_image, image)
    assert isinstance(got, np.ndarray) == is_right(image)
    if isinstance(got, np.ndarray):
        assert got.dtype == np.uint8 and got.shape == (image.height, image.width, 3)
        if not image.encoding.startswith(("bayer", "yu", "uy")):
            rounding = 0 if pixel_of(image.encoding)[0] == np.uint8 else 0.51
            assert np.abs(got - np.array(slow_rgb(image))).max() <= rounding


@settings(max_examples=300, deadline=None)
@given(images())
def test_any_image_has_the_right_ids_or_is_refused_with_one_line(image: Plain) -> None:
    got = result_or_refusal(ids_from_image, image)
    assert isinstance(got, np.ndarray) == (is_right(image) and image.encoding in ("mono8", "8UC1", "mono16", "16UC1"))
    if isinstance(got, np.ndarray):
        dtype, _ = pixel_of(image.encoding)
        assert got.dtype == dtype and got.shape == (image.height, image.width)
        code = dtype.newbyteorder("<>"[bool(image.is_bigendian)])
        rows = [bytes(image.data[row * image.step :])[: image.width * dtype.itemsize] for row in range(image.height)]
        assert got.tolist() == [np.frombuffer(row, code).tolist() for row in rows]


def encoded(extension: str, pixels: np.ndarray, *flags: int) -> bytes:
    return bytes(cv2.imencode(extension, pixels, flags)[1])


FILES = [
    JPEG,
    PNG,
    encoded(".jpg", SMOOTH, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    encoded(".jpg", GREY, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    encoded(".png", wide(GREY)),
    encoded(".png", np.concatenate([RGB, OPAQUE], 2)),
    encoded(".png", GREY // 128, cv2.IMWRITE_PNG_BILEVEL, 1),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real file with bytes changed, cut out, put in, or parts written twice; a PNG with wrong or right checksums."""
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 40))
        data[start:end] = data[start:end] * 2 if draw(st.booleans()) else draw(st.binary(max_size=8))
    return bytes(with_checksums(data) if draw(st.booleans()) else data)


def with_checksums(data: bytearray) -> bytearray:
    """Put the checksums of a PNG right, as far as its chunks can be told."""
    position = 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return data


@settings(max_examples=800, deadline=None)
@given(st.one_of(st.binary(max_size=200), mutated(), mutated(), mutated()), st.text(max_size=80))
def test_any_bytes_are_a_picture_or_refused_with_one_line(data: bytes, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got = result_or_refusal(rgb_from_compressed, CompressedImage(format=name, data=array("B", data)))
    if isinstance(got, np.ndarray):
        assert got.dtype == np.uint8 and got.ndim == 3 and got.shape[2] == 3 and 0 < got.size <= 3 * MAX_PIXELS
    # KB: the largest image that is taken, as Pillow has it (4 bytes a pixel), and three copies of it.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 13 * MAX_PIXELS / 1024

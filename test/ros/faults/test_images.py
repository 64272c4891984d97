"""Images that no camera should send, over real DDS: each costs one log line, and nothing else."""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification

HEIGHT, WIDTH = 480, 640
SETTINGS = {"input_size": "[64, 64]", "vocabulary": "[road, sky]", "device": "cpu"}
OUTPUTS = ("mask", "confidence", "class_confidence/road", "overlay")
REPEATED = 40
# Of the memory that the repeated images would take if they were kept (37 MB): what allocators keep for themselves.
GROWTH = 12 << 20
PIXELS = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 9)
GREY = PIXELS[..., 1]


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    """One node for raw images; every test leaves it as it was, or the next one fails."""
    with start_node(**SETTINGS) as node:
        node.wait_for_log("ready")
        yield node


@pytest.fixture(scope="module")
def jpeg_node(running_node: Callable[..., Any], ros_module_environment: Any, tmp_path_factory: Any) -> Iterator[Any]:
    """One beside it, by the name of `jpeg`, for compressed images."""
    settings = {**SETTINGS, "image_transport": "compressed"}
    parameters = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
    folder = tmp_path_factory.mktemp("jpeg")
    with running_node(ros_module_environment, folder, "-r", "__node:=jpeg", *parameters) as node:
        node.wait_for_log("ready")
        yield node


@pytest.fixture
def stamped(image: Callable[..., Image]) -> Callable[..., Any]:
    """Gives a message a stamp and a frame of its own."""

    def stamp(message: Any) -> Any:
        message.header = image().header
        return message

    return stamp


def raw(encoding: str, pixels: np.ndarray, *, padding: int = 0, big_endian: bool = False, tail: int = 0) -> Image:
    """An image message of pixels in this (little-endian) machine's byte order."""
    rows = np.ascontiguousarray(pixels.byteswap() if big_endian else pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=rows.shape[1])
    message.is_bigendian = int(big_endian)
    message.data = array("B", rows.tobytes() + bytes(tail))
    return message


def lying(**fields: Any) -> Image:
    """A good image, but for some fields."""
    message = raw("rgb8", PIXELS)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def check_fault(client: Any, publisher: Any, seen: Any, bad: list[Any], good: Callable[[], Any], words: str) -> None:
    """Send bad ones again and again, then a good one."""
    topic = next(iter(client.received))
    client.answer(publisher, good(), topic)
    seen.reset()
    before = seen.memory
    for number in range(REPEATED):
        publisher.publish(bad[number % len(bad)])
        client.spin(0.02)
    client.wait_until(lambda: seen.trouble, "a line about it")
    client.answer(publisher, good(), topic)
    seen.assert_alive()
    seen.assert_one_line("image of camera dropped", words)
    assert seen.memory - before < GROWTH


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param([lying(encoding="h264")], "'h264'", id="unknown encoding"),
        pytest.param([lying(encoding="")], "encoding ''", id="no encoding"),
        pytest.param([lying(width=0), lying(height=0)], "at least one pixel", id="no size"),
        pytest.param(
            [lying(data=array("B", bytes(size))) for size in (HEIGHT * WIDTH * 3 - 1, 1000, 0)]
            + [lying(height=height) for height in (HEIGHT + 1, 2**32 - 1)],
            "bytes (step 1920 x height",
            id="data too short",
        ),
        pytest.param([lying(step=3 * WIDTH - 1), lying(step=0)], "a step of 1920 bytes", id="step below a row"),
        pytest.param([raw("yuyv", np.zeros((HEIGHT, 631, 2), np.uint8))], "631 x 480 pixels of yuyv", id="odd chroma"),
    ],
)
def test_an_image_that_is_none_costs_one_line(
    node: Any, client: Any, stamped: Any, watch: Any, bad: list[Image], words: str
) -> None:
    client.subscribe(Image, "/errseg/camera/mask")
    publisher = client.publisher("/camera/image")
    check_fault(client, publisher, watch(node), bad, lambda: stamped(raw("rgb8", PIXELS)), words)


def test_faults_that_are_always_new_do_not_fill_the_log(node: Any, client: Any, stamped: Any, watch: Any) -> None:
    """Another unknown encoding with every image."""
    client.subscribe(Image, "/errseg/camera/mask")
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    for number in range(200):
        publisher.publish(lying(encoding=f"{'x' * (number % 40)}{chr(97 + number % 26)}", data=array("B", b"")))
        client.spin(0.01)
    client.answer(publisher, stamped(raw("rgb8", PIXELS)), "/errseg/camera/mask")
    assert 10 < len(seen.trouble) < 100, seen.trouble


FLOAT = GREY.astype(np.float32) / 255
NO_NUMBERS = np.where(GREY % 3 == 0, np.float32(np.nan), np.where(GREY % 3 == 1, np.float32(np.inf), FLOAT))
WIDE = GREY.astype(np.uint16) * 257


@pytest.mark.parametrize(
    ("message", "same"),
    [
        pytest.param(raw("rgb8", PIXELS, tail=777), raw("rgb8", PIXELS), id="data too long"),
        pytest.param(raw("rgb8", PIXELS, padding=64), raw("rgb8", PIXELS), id="padded step"),
        pytest.param(raw("bgr8", PIXELS[..., ::-1], padding=1), raw("rgb8", PIXELS), id="odd step"),
        pytest.param(raw("mono16", WIDE, padding=3), raw("mono8", GREY), id="16 bits, odd step"),
        pytest.param(raw("mono16", WIDE, big_endian=True), raw("mono8", GREY), id="16 bits, big-endian"),
        pytest.param(
            raw("rgb16", PIXELS.astype(np.uint16) * 257, big_endian=True, padding=7),
            raw("rgb8", PIXELS),
            id="colours of 16 bits, big-endian, odd step",
        ),
        pytest.param(
            raw("32FC1", NO_NUMBERS), raw("mono8", np.where(GREY % 3 == 2, GREY, 0).astype(np.uint8)), id="NaN and inf"
        ),
        pytest.param(raw("32FC1", FLOAT * np.float32(np.nan)), raw("mono8", GREY * 0), id="NaN alone"),
        pytest.param(raw("32FC1", FLOAT, big_endian=True), raw("mono8", GREY), id="floats, big-endian"),
    ],
)
def test_an_unusual_image_has_the_mask_of_the_usual_one(
    node: Any, client: Any, stamped: Any, watch: Any, message: Image, same: Image
) -> None:
    client.subscribe(Image, "/errseg/camera/mask")
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    masks = [client.answer(publisher, stamped(each), "/errseg/camera/mask").message for each in (message, same)]
    assert [(mask.height, mask.width, mask.step, mask.encoding) for mask in masks] == [(480, 640, 640, "mono8")] * 2
    assert masks[0].data == masks[1].data
    assert seen.lines == []


def test_the_size_may_change_with_every_image(node: Any, client: Any, stamped: Any, watch: Any) -> None:
    topics = [f"/errseg/camera/{output}" for output in OUTPUTS]
    for topic in topics:
        client.subscribe(Image, topic)
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    sizes = [(480, 640), (1, 1), (1, 5000), (5000, 1), (2, 3), (720, 1280), (37, 4001)]
    memory = []
    for _ in range(4):
        for height, width in sizes:
            sent = stamped(raw("rgb8", np.resize(PIXELS, (height, width, 3))))
            stamp = client.answer(publisher, sent, topics[-1]).stamp
            for topic in topics:
                find = lambda topic=topic, stamp=stamp: [r for r in client.received[topic] if r.stamp == stamp]  # noqa: E731
                client.wait_until(find, topic)
                assert (find()[0].message.height, find()[0].message.width) == (height, width), topic
        memory.append(seen.memory)
    assert seen.lines == []
    assert memory[-1] - memory[1] < GROWTH, memory  # the heap finds its size in the first two rounds


@pytest.mark.parametrize(
    ("seconds", "nanoseconds", "frame_id"),
    [
        pytest.param(0, 0, "front", id="no stamp"),
        pytest.param(1, 999_999_999, "", id="no frame"),
        pytest.param(2**31 - 1, 999_999_999, "相机/مقدمة/🚗", id="the last moment, letters of the world"),
        pytest.param(4_000_000_00, 1, "x" * 1000, id="in 1982, a long frame"),
        pytest.param(-5, 7, "front", id="before 1970"),
        pytest.param(5, 2**32 - 1, "front", id="more nanoseconds than a second has"),
    ],
)
def test_stamp_and_frame_are_passed_through_untouched(
    node: Any, client: Any, watch: Any, seconds: int, nanoseconds: int, frame_id: str
) -> None:
    """They come back in time as in a bag that starts anew."""
    topics = [f"/errseg/camera/{output}" for output in OUTPUTS]
    for topic in topics:
        client.subscribe(Image, topic)
    client.subscribe(Classification, "/errseg/camera/class_scores")
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    message = raw("rgb8", PIXELS)
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, nanoseconds
    message.header.frame_id = frame_id
    client.answer(publisher, message, topics[-1])
    for topic in client.received:
        client.wait_until(lambda topic=topic: client.received[topic], topic)
        assert {(r.message.header.stamp.sec, r.message.header.stamp.nanosec) for r in client.received[topic]} == {
            (seconds, nanoseconds)
        }
        assert {r.message.header.frame_id for r in client.received[topic]} == {frame_id}
    assert seen.lines == []


def test_an_8k_image_is_answered(node: Any, client: Any, stamped: Any, watch: Any) -> None:
    """100 MB, which is more than the middleware's shared memory holds at once; some get lost on the way."""
    client.subscribe(Image, "/errseg/camera/mask", depth=1)
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    pixels = np.tile(PIXELS, (9, 12, 1))
    before = seen.memory
    for _ in range(3):
        large = stamped(raw("rgb8", pixels))
        assert len(large.data) == 7680 * 4320 * 3
        mask = client.answer(publisher, large, "/errseg/camera/mask", 120).message
        assert (mask.height, mask.width, len(mask.data)) == (4320, 7680, 4320 * 7680)
        client.answer(publisher, stamped(raw("rgb8", PIXELS)), "/errseg/camera/mask", 60)
    # What stays are the middleware's messages of the largest size, some 0.5 GB.
    client.wait_until(lambda: seen.memory - before < 1 << 30, "the memory to come back", 60)
    assert seen.lines == []


JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


def promising(data: bytes, width: int, height: int) -> bytes:
    """A JPEG or PNG whose header promises another size."""
    if data.startswith(b"\xff\xd8"):
        position = data.index(b"\xff\xc0") + 5
        return data[:position] + struct.pack(">HH", height, width) + data[position + 4 :]
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def compressed(data: bytes, name: str = "jpeg") -> CompressedImage:
    return CompressedImage(format=name, data=array("B", data))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param([JPEG[: len(JPEG) * part // 10] for part in (1, 5, 9)], "truncated", id="jpeg cut off"),
        pytest.param([PNG[: len(PNG) // 2]], "runcated", id="png cut off"),
        pytest.param([PNG[:5000] + bytes(9) + PNG[5009:]], "checksum", id="png with wrong bytes"),
        pytest.param([b"", bytes(9000), b"\x89PNG\r\n\x1a\n" + bytes(90), b"\xff\xd8\xff\xd9"], "neither", id="none"),
        pytest.param(
            [promising(data, size, size) for data in (JPEG, PNG) for size in (65535, 32767)],
            "more than 67108864 pixels",
            id="vast",
        ),
        pytest.param(
            [promising(data, size, size) for data in (JPEG, PNG) for size in (8200, 9500, 13000)],
            "at most 67108864 pixels",
            id="too large",
        ),
    ],
)
def test_a_compressed_image_that_is_none_costs_one_line(
    jpeg_node: Any, client: Any, stamped: Any, watch: Any, bad: list[bytes], words: str
) -> None:
    """Also none of the libraries that decode them prints one; and what a header promises is not allocated."""
    client.subscribe(Image, "/jpeg/camera/mask")
    publisher = client.publisher("/camera/image/compressed", CompressedImage)
    messages = [compressed(data) for data in bad]
    seen = watch(jpeg_node)
    client.answer(publisher, stamped(compressed(JPEG)), "/jpeg/camera/mask")
    peak = seen.reset_peak()
    check_fault(client, publisher, seen, messages, lambda: stamped(compressed(JPEG)), words)
    assert seen.peak - peak < 64 << 20


def test_damage_within_a_jpeg_prints_nothing(jpeg_node: Any, client: Any, stamped: Any, watch: Any) -> None:
    """It cannot be told from a picture: it is one, with a disturbed part."""
    client.subscribe(Image, "/jpeg/camera/mask")
    publisher = client.publisher("/camera/image/compressed", CompressedImage)
    seen = watch(jpeg_node)
    middle = len(JPEG) // 2
    for data in (JPEG[:middle] + bytes(20) + JPEG[middle + 20 :], JPEG[:middle] + JPEG[middle + 50 :]):
        client.answer(publisher, stamped(compressed(data)), "/jpeg/camera/mask")
    assert seen.lines == []


@pytest.mark.parametrize("name", ["", "png", "rgb8; jpeg compressed bgr8", "h264", "\u202e" + "x" * 500])
def test_the_bytes_tell_the_format_and_not_its_name(
    jpeg_node: Any, client: Any, stamped: Any, watch: Any, name: str
) -> None:
    client.subscribe(Image, "/jpeg/camera/mask")
    publisher = client.publisher("/camera/image/compressed", CompressedImage)
    seen = watch(jpeg_node)
    mask = client.answer(publisher, stamped(compressed(JPEG, name)), "/jpeg/camera/mask").message
    assert (mask.height, mask.width) == (HEIGHT, WIDTH)
    assert seen.lines == []


def test_an_8k_jpeg_is_answered(jpeg_node: Any, client: Any, stamped: Any, watch: Any) -> None:
    client.subscribe(Image, "/jpeg/camera/mask")
    publisher = client.publisher("/camera/image/compressed", CompressedImage)
    seen = watch(jpeg_node)
    large = cv2.imencode(".jpg", np.tile(PIXELS, (9, 12, 1)))[1].tobytes()
    mask = client.answer(publisher, stamped(compressed(large)), "/jpeg/camera/mask", 120).message
    assert (mask.height, mask.width) == (4320, 7680)
    assert seen.lines == []

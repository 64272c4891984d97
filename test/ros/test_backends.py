"""The node on other backends than PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image

MASK = "/errseg/camera/mask"
EXPORT_SECONDS = 240
COUNTING = """
from errseg_model.backends import onnx_export
from errseg_ros.node import main

export = onnx_export.export_onnx

def tell(network, config, size):
    print("exporting for", size, flush=True)
    return export(network, config, size)

onnx_export.export_onnx = tell
main()
"""
SETTINGS = {"vocabulary": "[road, sky, car]", "input_size": "[64, 96]", "device": "cpu"}


def masks(start_node: Callable[..., Any], client: Any, image: Callable[[], Image], **settings: str) -> list[Any]:
    """Of one image, under the first words and after a change of them."""
    with start_node(**SETTINGS, **settings) as node:
        node.wait_for_log("ready", EXPORT_SECONDS)
        client.subscribe(Image, MASK)
        publisher = client.publisher("/camera/image")
        found = [client.answer(publisher, image(), MASK)]
        assert client.set_vocabulary(["tree", "road", "building", "sky", "person"]).successful
        found.append(client.answer(publisher, image(), MASK))
    return [np.array(received.message.data) for received in found]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_answers_as_pytorch_does_also_after_a_change_of_words(
    start_node: Callable[..., Any], client: Any, image: Callable[[], Image], backend: str
) -> None:
    expected = masks(start_node, client, image)
    found = masks(start_node, client, image, backend=backend)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours == theirs).mean() > 0.99


def cut(message: Image, height: int, width: int) -> Image:
    """The upper left of an image."""
    message.height, message.width = height, width
    message.data = message.data[: height * message.step]
    return message


@pytest.mark.timeout(900)
def test_what_a_size_needs_is_exported_at_start_and_neither_for_words_nor_for_fewer_classes(
    start_node: Callable[..., Any], client: Any, image: Callable[[], Image]
) -> None:
    settings = {
        **SETTINGS,
        "input_size": "[128, 128]",
        "resize": "letterbox",
        "image_size": "[72, 128]",
        "min_share": "0.0",
        "backend": "onnxruntime",
    }
    with start_node(("-c", COUNTING), **settings) as node:
        node.wait_for_log("ready", EXPORT_SECONDS)
        exports = "exporting for (96, 128)"
        assert node.log().count("exporting for") == node.log().count(exports) == 1
        publisher = client.publisher("/camera/image")

        def kept(*names: str, height: int = 72, width: int = 128) -> set[str]:
            """Those of the classes that the next image's decoder is given."""
            found = set()
            for name in names:
                topic = f"/errseg/camera/class_confidence/{name}"
                client.subscribe(Image, topic)
                answer = client.answer(publisher, cut(image(), height, width), topic, EXPORT_SECONDS)
                assert (answer.message.height, answer.message.width) == (height, width)
                found |= {name} if np.array(answer.message.data).any() else set()
            return found

        assert kept("road", "sky", "car") == {"road", "sky", "car"}
        assert client.set(min_share=1.0)[0].successful
        assert len(kept("road", "sky", "car")) == 1
        assert client.set_atomically(vocabulary=["tree", "road", "building", "fence"], min_share=0.0).successful
        assert kept("tree", "road", "fence") == {"tree", "road", "fence"}
        assert node.log().count("exporting for") == 1 and "gets ready" not in node.log()

        kept("tree", height=96, width=96)
        assert node.log().count("exporting for") == 2 and node.log().count("exporting for (128, 128)") == 1
        (line,) = [line for line in node.log().splitlines() if "gets ready" in line]
        assert "images of camera are 96 x 96" in line and "image_size [96, 96]" in line


def test_a_precision_that_the_device_does_not_have_is_one_line(start_node: Callable[..., Any]) -> None:
    with start_node(**SETTINGS, precision="float16") as node:
        assert node.process.wait(timeout=90) == 1
    (line,) = [line for line in node.log().splitlines() if "float16" in line]
    assert "float16 needs a CUDA device" in line

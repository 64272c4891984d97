"""The node on other backends than PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image

MASK = "/errseg/camera/mask"
EXPORT_SECONDS = 240
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


def test_a_precision_that_the_device_does_not_have_is_one_line(start_node: Callable[..., Any]) -> None:
    with start_node(**SETTINGS, precision="float16") as node:
        assert node.process.wait(timeout=90) == 1
    (line,) = [line for line in node.log().splitlines() if "float16" in line]
    assert "float16 needs a CUDA device" in line

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from errseg_model.config import model_config
from errseg_model.errors import ImageError
from errseg_model.preprocessing import check_image, preprocess

CPU = torch.device("cpu")


def test_normalises_then_resizes_bilinearly(image: NDArray[np.uint8]) -> None:
    config = dataclasses.replace(model_config("errseg-b"), input_size=(96, 160))
    expected = (image.astype(np.float32) - config.mean) / config.std
    expected = cv2.resize(expected, (160, 96), interpolation=cv2.INTER_LINEAR)
    result = preprocess([image], config, CPU)[0].permute(1, 2, 0)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-4)


def test_lite_filters_before_it_shrinks() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    config = dataclasses.replace(model_config("errseg-lite"), input_size=(64, 64))
    inner = preprocess([stripes], config, CPU)[0, :, 8:-8, 8:-8]
    assert inner.abs().max() < 0.05  # grey, not aliased to black or white
    published = preprocess([stripes], dataclasses.replace(config, antialias=False, input_size=(128, 96)), CPU)
    assert published.abs().max() > 0.3


def test_lite_is_resized_in_whole_numbers(image: NDArray[np.uint8]) -> None:
    config = dataclasses.replace(model_config("errseg-lite"), input_size=(32, 64), resize="stretch")
    pixels = preprocess([image], config, CPU)[0] * 127.5 + 127.5
    exact = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    exact = F.interpolate(exact, size=(32, 64), mode="bilinear", align_corners=False, antialias=True)[0]
    assert (pixels - pixels.round()).abs().max() < 1e-4
    assert (pixels - exact).abs().max() < 1.01  # as on a GPU, which rounds what it computed in float32
    assert ((pixels - exact.round()).abs() < 1e-3).double().mean() > 0.9


def test_images_of_different_sizes_make_one_batch(image: NDArray[np.uint8]) -> None:
    config = model_config("errseg-lite").changed(input_size=(64, 96), resize="stretch")
    assert preprocess([image, image[:20, :31], image[:1, :1]], config, CPU).shape == (3, 3, 64, 96)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"got uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "got float32"),
        (np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
        ("picture.png", "got str"),
    ],
)
def test_wrong_images(wrong: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_image(wrong)

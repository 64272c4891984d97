"""An image becomes the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from errseg_model.config import ModelConfig
from errseg_model.errors import ImageError
from errseg_model.letterbox import computed_size, fitted_size
from errseg_model.transfer import to_device


def check_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `image`. Raises ImageError unless it is (H, W, 3) uint8 with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image is a numpy array (H, W, 3) of uint8 RGB, got {got}")
    if image.size == 0:
        raise ImageError(f"an image has at least one pixel, got {image.shape}")
    return image


def image_size(image: NDArray[np.uint8]) -> tuple[int, int]:
    """(height, width) of a picture. Raises ImageError as `check_image`."""
    height, width, _ = check_image(image).shape
    return height, width


def preprocess(images: Sequence[NDArray[np.uint8]], config: ModelConfig, device: torch.device) -> Tensor:
    """Resize, normalise, then pad on the right and below with zeros, the mean colour.

    The published order is to normalise first. A resize weighs pixels with weights that add up to 1, so that the order
    makes no difference, and an image is larger than the network's input.

    Args:
        images: B pictures (H, W, 3) uint8 RGB of one `fitted_size`.
        config: `mean`, `std`, `input_size`, `resize` and `antialias` are read.
        device: where the result lives.

    Returns:
        (B, 3, h, w) float32 in channels_last, as the network's weights are, with (h, w) the `computed_size`.

    Raises:
        ImageError: a picture is of another kind, or has no pixel.
        RuntimeError: no picture, or pictures whose `computed_size` differs.
    """
    mean, std = to_device(torch.tensor([config.mean, config.std]), device)[:, :, None, None]
    batch = []
    for image in images:
        fitted = fitted_size(image_size(image), config)
        pixels = to_device(torch.from_numpy(np.ascontiguousarray(image)), device).permute(2, 0, 1)[None]
        resized = _shrink(pixels, fitted) if config.antialias else _resize(pixels.float(), fitted)
        height, width = computed_size(fitted)
        batch.append(F.pad((resized - mean) / std, (0, width - fitted[1], 0, height - fitted[0])))
    return torch.cat(batch).contiguous(memory_format=torch.channels_last)


def _shrink(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Filtered before it shrinks, in whole numbers, which the CPU does four times as fast as in float32."""
    if pixels.device.type == "cpu":
        return _resize(pixels, size, antialias=True).float()
    return _resize(pixels.float(), size, antialias=True).round()


def _resize(pixels: Tensor, size: tuple[int, int], *, antialias: bool = False) -> Tensor:
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=antialias)

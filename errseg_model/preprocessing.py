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
from errseg_model.transfer import to_device


def check_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `image`. Raises ImageError unless it is (H, W, 3) uint8 with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image is a numpy array (H, W, 3) of uint8 RGB, got {got}")
    if image.size == 0:
        raise ImageError(f"an image has at least one pixel, got {image.shape}")
    return image


def preprocess(images: Sequence[NDArray[np.uint8]], config: ModelConfig, device: torch.device) -> Tensor:
    """Normalise, then resize (published order).

    Args:
        images: B pictures (H, W, 3) uint8 RGB, each of its own size.
        config: `mean`, `std`, `input_size` and `antialias` are read.
        device: where the result lives.

    Returns:
        (B, 3, *input_size) float32. The aspect ratio is not kept.
    """
    mean, std = to_device(torch.tensor([config.mean, config.std]), device)[:, :, None, None]
    batch = []
    for image in images:
        pixels = to_device(torch.from_numpy(np.ascontiguousarray(check_image(image))), device).permute(2, 0, 1).float()
        batch.append(
            F.interpolate(
                ((pixels - mean) / std)[None],
                size=config.input_size,
                mode="bilinear",
                align_corners=False,
                antialias=config.antialias,
            )
        )
    return torch.cat(batch)

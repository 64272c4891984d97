"""Where an image lies in the network's input: it is resized to its fitted size, and padded on the right and below."""

from __future__ import annotations

from errseg_model.config import INPUT_MULTIPLE, STRIDES, ModelConfig


def fitted_size(size: tuple[int, int], config: ModelConfig) -> tuple[int, int]:
    """(height, width) that an image of `size` is resized to, in pixels of the network's input.

    With `letterbox` it is the largest in `config.input_size` of the image's aspect ratio, rounded to multiples of the
    logits' stride: the image then ends where a logit ends, and what is cut out of the logits is exactly the image.
    """
    if config.resize == "stretch":
        return config.input_size
    scale = min(box / side for box, side in zip(config.input_size, size, strict=True))
    stride = STRIDES[0]
    height, width = (max(stride, round(side * scale / stride) * stride) for side in size)
    return height, width


def computed_size(fitted: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the network's input for images of fitted size: the next multiples of 32."""
    height, width = (-(-side // INPUT_MULTIPLE) * INPUT_MULTIPLE for side in fitted)
    return height, width


def fitted_places(fitted: tuple[int, int], stride: int) -> tuple[int, int]:
    """(rows, columns) at a stride whose middles lie in the image of fitted size, at least 1; the others are padding."""
    rows, columns = (max(1, (side + stride // 2 - 1) // stride) for side in fitted)
    return rows, columns

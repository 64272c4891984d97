"""What a backend gets ready for a size of images: at start where it can be, else while images wait."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from errseg_model import InputError, Segmenter
from errseg_model.letterbox import computed_size, fitted_size
from errseg_model.preprocessing import image_size
from errseg_ros.batches import fastest_batch
from errseg_ros.parameters import Values


class Readiness:
    """Knows the sizes of the network's input that the backend is ready for: it prepares one with its first image."""

    def __init__(self, segmenter: Segmenter, values: Values, warn: Callable[[str], object]) -> None:
        """`warn` gets what is to be logged."""
        self._segmenter = segmenter
        self._values = values
        self._warn = warn
        self._ready: set[tuple[int, int]] = set()
        self.batch = 1
        """How many cameras' images are computed together; known after `warm_up`."""

    def warm_up(self) -> None:
        """Compute an image of `image_size` before the first camera's comes. Raises InputError where it does not fit."""
        image = np.zeros((*self._values.image_size, 3), np.uint8)
        self._ready.add(self._input_size(image))
        encoded = self._segmenter.encode(self._values.vocabulary)

        def compute(size: int) -> None:
            self._segmenter.segment([image] * size, encoded, min_share=0.0)  # K classes, as it is an empty image

        try:
            if self._segmenter.device.type == "cpu":
                # Measured: several are no faster, and the first answer waits for the last image.
                compute(1)
            else:
                self.batch = fastest_batch(compute, len(self._values.cameras))
        except torch.cuda.OutOfMemoryError as error:
            height, width = self._values.image_size
            raise InputError(
                f"an image of {height} x {width} does not fit into the memory of {self._segmenter.device} beside "
                f"{self._values.model}: set a smaller input_size or max_classes, or precision float16: {error}"
            ) from None

    def announce(self, camera: str, image: NDArray[np.uint8]) -> None:
        """Log what the first image of another size than `image_size` waits for. Raises ImageError."""
        size = self._input_size(image)
        if size in self._ready:
            return
        self._ready.add(size)
        if self._values.backend != "pytorch":  # which needs no preparation
            height, width = image_size(image)
            self._warn(
                f"images of {camera} are {height} x {width}: backend {self._values.backend} gets ready for an "
                f"input of {size[0]} x {size[1]}, and images wait; image_size [{height}, {width}] does that at start"
            )

    def _input_size(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """(height, width) of what the network computes for an image."""
        return computed_size(fitted_size(image_size(image), self._segmenter.config))

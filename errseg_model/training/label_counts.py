"""How many pixels of the training data every class has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class LabelCounts:
    """Pixels by their label, in the label images that were read."""

    names: Sequence[str]
    """Of the classes that are trained."""
    pixels: NDArray[np.int64]
    """(classes + 1,) void's last, to which those of held out classes belong."""
    images: int
    """Label images that were read."""
    of: int
    """That there are."""

    @property
    def complete(self) -> bool:
        """Whether every class has a pixel."""
        return bool(self.pixels[:-1].all())

    def __str__(self) -> str:
        """One line for who trains."""
        absent = [name for name, count in zip(self.names, self.pixels[:-1], strict=True) if not count]
        found = "every class has some"
        if absent:
            found = f"none is labelled {', '.join(absent)}, which the model thus learns to find nowhere"
        void = self.pixels[-1] / self.pixels.sum()
        return f"labels of {self.images} of {self.of} pictures: {void:.1%} of the pixels are void; {found}"

    def weights(self, bounds: tuple[float, float] | None) -> Tensor:
        """(classes + 1,) weight of a pixel by its label: 1 / sqrt(share), bounded; 0 for void.

        The mean of the classes that have pixels weighs 1; one without pixels weighs as much as the bounds let it.
        Without bounds every class weighs 1.
        """
        if bounds is None:
            return torch.tensor([*[1.0] * len(self.names), 0.0])
        counts = self.pixels[:-1]
        weights = (counts[counts > 0].mean() / np.maximum(counts, 1)) ** 0.5
        bounded: NDArray[np.float64] = np.clip(np.where(counts > 0, weights, np.inf), *bounds)
        return torch.tensor([*bounded, 0.0], dtype=torch.float32)

"""What a segmentation is, in numpy: the border of the library. Nothing of PyTorch leaks through it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.vocabulary import Vocabulary

UNLABELLED = 65535
"""Mask value of a pixel whose best class scores below the threshold."""


@dataclass(frozen=True)
class SegmentationResult:
    """The segmentation of one image of (H, W) pixels under one vocabulary of T classes."""

    vocabulary: Vocabulary
    mask: NDArray[np.uint16]
    """(H, W) position in the vocabulary, or UNLABELLED."""
    confidence: NDArray[np.float32]
    """(H, W) score of the best class, 0..1, also where the pixel is unlabelled."""
    scores: dict[str, float]
    """Of every class the mean score over its own pixels, 0.0 where it has none."""
    selected: NDArray[np.int64]
    """(K,) positions of the classes that the channel reduction kept, ascending."""
    logits: NDArray[np.float32]
    """(K, h, w) of the kept classes before the sigmoid, at stride 4 of the network's input."""

    def class_confidence(self, name: str) -> NDArray[np.float32]:
        """(H, W) score of one class, 0..1; 0 everywhere for a class that the channel reduction dropped.

        Raises VocabularyError for a name that the vocabulary does not have.
        """
        kept = np.flatnonzero(self.selected == self.vocabulary.index(name))
        if kept.size == 0:
            return np.zeros(self.mask.shape, np.float32)
        scores = 1 / (1 + np.exp(-self.logits[kept[0]]))
        height, width = self.mask.shape
        return np.asarray(cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

"""CRM, the channel reduction module: of T cost maps keep the K that the image votes for (paper, 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

PLACE_COUNTS = (100, 10, 1)
"""Counts of a first, second and third place: the paper's 1, 0.1, 0.01 as integers, so that sums are exact."""


def class_counts(cost: Tensor) -> Tensor:
    """How often each class is among the best three of a pixel.

    Args:
        cost: (B, T, h, w) cost maps at stride 16.

    Returns:
        (B, T) int64, in hundredths of a first place. With fewer than three classes there are fewer places.
    """
    batch, classes = cost.shape[:2]
    places = min(len(PLACE_COUNTS), classes)
    best = cost.flatten(2).topk(places, dim=1).indices  # (B, places, h * w)
    counts = torch.zeros(batch, classes, dtype=torch.int64, device=cost.device)
    for place, count in enumerate(PLACE_COUNTS[:places]):
        counts.scatter_add_(1, best[:, place], torch.full_like(best[:, place], count))
    return counts


def select_classes(cost: Tensor, max_classes: int, keep: Tensor | None = None) -> Tensor:
    """The classes that stay: training-free channel reduction.

    Args:
        cost: (B, T, h, w) cost maps at stride 16.
        max_classes: K; all T classes stay where T <= K.
        keep: (B, T) bool, classes that stay whatever their count (those of the ground truth in training). K grows
            to the largest number of them in the batch, so that none is dropped.

    Returns:
        (B, K) int64 indices, ascending. Of equal counts the class that comes first wins.

    Raises:
        ValueError: `max_classes` below 1.
    """
    if max_classes < 1:
        raise ValueError(f"max_classes must be at least 1, got {max_classes}")
    batch, classes, height, width = cost.shape
    if keep is not None:
        max_classes = max(max_classes, int(keep.sum(1).max()))
    if classes <= max_classes:
        return torch.arange(classes, device=cost.device).expand(batch, -1)
    counts = class_counts(cost)
    if keep is not None:
        counts = counts + keep * (PLACE_COUNTS[0] * height * width + 1)
    order = counts.argsort(dim=1, descending=True, stable=True)
    return order[:, :max_classes].sort(dim=1).values

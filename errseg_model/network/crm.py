"""CRM, the channel reduction module: of T cost maps keep the K that the image votes for (paper, 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

PLACE_COUNTS = (100, 10, 1)
"""Counts of a first, second and third place: the paper's 1, 0.1, 0.01 as integers, so that sums are exact."""

HOLD = 0.5
"""Share of `min_share` down to which a class of the frame before stays."""


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


def rank_classes(counts: Tensor, keep: Tensor | None = None) -> Tensor:
    """(B, T) classes of each image: those of `keep` (B, T) bool, then the others, by their counts (B, T).

    Of equal counts the class that comes first wins. In training the classes of the ground truth are kept.
    """
    if keep is not None:
        counts = counts + keep * (counts.amax() + 1)
    return counts.argsort(dim=1, descending=True, stable=True)


def select_classes(
    cost: Tensor,
    max_classes: int,
    *,
    min_share: float = 0.0,
    previous: Tensor | None = None,
) -> Tensor:
    """The classes that stay: training-free channel reduction.

    The paper's K is fixed. With `min_share` it follows the image: of the K classes with the highest counts those stay
    whose count is at least this share of the image's counts (the class with the highest one always does). A class of
    `previous` stays down to HOLD times that share, so that classes do not blink.

    Args:
        cost: (B, T, h, w) cost maps at stride 16.
        max_classes: K; all T classes stay where T <= K.
        min_share: 0..1; 0 keeps K classes. Above 0 this waits for the device, as K is part of a shape, and B is 1.
        previous: (B, T) bool, classes that stayed in the frame before, each image's own.

    Returns:
        (B, K) int64 indices, ascending. Of equal counts the class that comes first wins.

    Raises:
        ValueError: `max_classes` below 1, or several images with a `min_share`, each of which has its own K.
    """
    if max_classes < 1:
        raise ValueError(f"max_classes must be at least 1, got {max_classes}")
    batch, classes = cost.shape[:2]
    if min_share > 0 and batch > 1:
        raise ValueError(f"with min_share images have each their own K: expected one at a time, got {batch}")
    if classes <= max_classes and min_share == 0:
        return torch.arange(classes, device=cost.device).expand(batch, -1)
    counts = class_counts(cost)
    order = rank_classes(counts)[:, :max_classes]
    if min_share > 0:
        least = torch.full_like(counts, min_share, dtype=torch.float64)
        if previous is not None:
            least = torch.where(previous, HOLD * least, least)
        stays = (counts >= least * counts.sum(dim=1, keepdim=True)).gather(1, order)
        stays[:, 0] = True
        order = order.gather(1, stays.to(torch.uint8).argsort(dim=1, descending=True, stable=True))
        order = order[:, : int(stays.sum())]
    return order.sort(dim=1).values

"""The network's logits become a result."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.cells import best_classes_in_cells
from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.transfer import to_host
from errseg_model.vocabulary import Vocabulary


@dataclass(frozen=True)
class BestClasses:
    """What an image of (H, W) pixels is made of, on the device of the logits. Knows no names."""

    mask: Tensor
    """(H, W) uint16, position in the vocabulary, or UNLABELLED."""
    confidence: Tensor
    """(H, W) float32, score of the best class."""
    means: Tensor
    """(K,) float64 mean score of each kept class over its own pixels, 0 where it has none."""


def postprocess(
    logits: Tensor,
    selected: Tensor,
    size: tuple[int, int],
    vocabulary: Vocabulary,
    confidence_threshold: float,
) -> SegmentationResult:
    """The result of `best_classes` in numpy and with the vocabulary's names.

    Args:
        logits: (K, h, w) of the kept classes.
        selected: (K,) int64, their positions in the vocabulary, ascending.
        size: (H, W) of the image.
        vocabulary: of T classes.
        confidence_threshold: 0..1; pixels below it are unlabelled.
    """
    best = best_classes(logits, selected, size, confidence_threshold)
    mask, confidence, means, kept, maps = to_host((best.mask, best.confidence, best.means, selected, logits.float()))
    scores = dict.fromkeys(vocabulary.names, 0.0)
    scores |= zip((vocabulary.names[position] for position in kept.tolist()), means.tolist(), strict=True)
    return SegmentationResult(
        vocabulary=vocabulary,
        mask=mask.numpy(),
        confidence=confidence.numpy(),
        scores=scores,
        selected=kept.numpy(),
        logits=maps.numpy(),
    )


def best_classes(
    logits: Tensor, selected: Tensor, size: tuple[int, int], confidence_threshold: float = 0.0
) -> BestClasses:
    """Sigmoid, bilinear resize of the K kept maps, best class; of equal scores the first class wins.

    The CPU computes what the logits do not decide (`cells`). A GPU computes all of it, and nothing waits for it.

    Args:
        logits: (K, h, w) of the kept classes.
        selected: (K,) int64, their positions in the vocabulary.
        size: (H, W) of the image.
        confidence_threshold: 0..1; pixels below it are unlabelled.
    """
    scores = logits.float().sigmoid()
    if scores.device.type != "cpu":
        return best_classes_at_once(scores, selected, size, confidence_threshold)
    best = best_classes_in_cells(scores.numpy(), selected.numpy(), size, confidence_threshold, torch.get_num_threads())
    return BestClasses(*map(torch.from_numpy, best))


def best_classes_at_once(
    scores: Tensor, selected: Tensor, size: tuple[int, int], confidence_threshold: float
) -> BestClasses:
    """`best_classes` of scores (K, h, w) on any device, with all maps at the image's resolution."""
    classes = len(scores)
    score, best = F.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)[0].max(dim=0)
    score.clamp_(max=1)  # the weights of a mean add up to 1 but for rounding
    best.masked_fill_(~(score >= confidence_threshold), classes)
    mask = F.pad(selected, (0, 1), value=UNLABELLED).int().take(best).to(torch.uint16)
    # One more place than classes, for unlabelled pixels; one for each row, as a GPU's threads would queue for so few.
    sums = torch.zeros(size[0], classes + 1, dtype=torch.float64, device=scores.device)
    pixels = torch.zeros_like(sums)
    sums.scatter_add_(1, best, score.double())
    pixels.scatter_add_(1, best, torch.ones_like(score, dtype=torch.float64))
    means = sums.sum(0) / pixels.sum(0).clamp(min=1)
    return BestClasses(mask, score, means[:classes])

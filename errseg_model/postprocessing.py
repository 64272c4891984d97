"""The network's logits become a result."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.transfer import to_host
from errseg_model.vocabulary import Vocabulary

STRIP_SCORES = 1 << 19
"""Scores of all classes that the CPU resizes at a time: 2 MB, so that they are compared while the cache has them."""

MIN_STRIP_COLUMNS = 16
"""Columns of a strip at least: a cache line of float32."""

VECTOR_CLASSES = 8
"""Classes are padded to a multiple of this on the CPU, so that the resize has no remainder to its vectors.

The remainder would be computed another way and round differently.
"""


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
    """The result of `best_classes` (which see) in numpy and with the vocabulary's names."""
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

    On the CPU the resized maps are never all there: they are computed in strips of columns, which stay in the cache
    until the best class is taken. A GPU computes all columns in one go, and nothing waits for it.

    Args:
        logits: (K, h, w) of the kept classes.
        selected: (K,) their positions in the vocabulary.
        size: (H, W) of the image.
        confidence_threshold: 0..1; pixels below it are unlabelled.
    """
    classes, (height, width) = len(logits), size
    scores, columns, layout = logits.float().sigmoid()[None], width, torch.contiguous_format
    if scores.device.type == "cpu":
        # A padded class scores -1 everywhere and is never the best.
        scores = F.pad(scores, (0, 0, 0, 0, 0, -classes % VECTOR_CLASSES), value=-1.0)
        columns = max(MIN_STRIP_COLUMNS, STRIP_SCORES // (height * scores.shape[1]))
        layout = torch.channels_last
    wide = _resize(scores.contiguous(memory_format=layout), (scores.shape[2], width))
    mask = torch.empty(size, dtype=torch.uint16, device=logits.device)
    confidence = torch.empty(size, device=logits.device)
    positions = F.pad(selected, (0, 1), value=UNLABELLED).int()
    # One more place than classes, for unlabelled pixels; one for each row, as a GPU's threads would queue for so few.
    sums = torch.zeros(height, classes + 1, dtype=torch.float64, device=logits.device)
    pixels = torch.zeros_like(sums)
    for first in range(0, width, columns):
        strip = slice(first, first + columns)
        part = wide[..., strip].contiguous(memory_format=layout)
        score, best = _resize(part, (height, part.shape[3]))[0].max(dim=0)
        best.masked_fill_(~(score >= confidence_threshold), classes)
        mask[:, strip], confidence[:, strip] = positions.take(best), score
        sums.scatter_add_(1, best, score.double())
        pixels.scatter_add_(1, best, torch.ones_like(score, dtype=torch.float64))
    means = sums.sum(0) / pixels.sum(0).clamp(min=1)
    return BestClasses(mask, confidence, means[:classes])


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)

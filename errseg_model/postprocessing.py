"""The network's logits become a result."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.vocabulary import Vocabulary


def postprocess(
    logits: Tensor,
    selected: Tensor,
    size: tuple[int, int],
    vocabulary: Vocabulary,
    confidence_threshold: float,
) -> SegmentationResult:
    """Sigmoid, bilinear resize of the K kept maps, best class.

    Args:
        logits: (K, h, w) of the kept classes.
        selected: (K,) their positions in the vocabulary.
        size: (H, W) of the image.
        vocabulary: that the image was computed under.
        confidence_threshold: 0..1; pixels below it are unlabelled.
    """
    scores = F.interpolate(logits.sigmoid()[None], size=size, mode="bilinear", align_corners=False)[0]
    confidence, best = scores.max(dim=0)
    mask = selected[best]
    labelled = confidence >= confidence_threshold
    means = _mean_scores(mask[labelled], confidence[labelled], len(vocabulary))
    mask = mask.masked_fill(~labelled, UNLABELLED)
    return SegmentationResult(
        vocabulary=vocabulary,
        mask=mask.cpu().numpy().astype(np.uint16),
        confidence=confidence.cpu().numpy(),
        scores=dict(zip(vocabulary.names, means.tolist(), strict=True)),
        selected=selected.cpu().numpy(),
        logits=logits.cpu().numpy(),
    )


def _mean_scores(classes: Tensor, scores: Tensor, count: int) -> Tensor:
    """(count,) mean of `scores` (N,) by `classes` (N,); 0 for classes without pixels."""
    pixels = torch.bincount(classes, minlength=count)
    return torch.bincount(classes, weights=scores.double(), minlength=count) / pixels.clamp(min=1)

"""What training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.network.errseg import ERRSegOutput
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import StepVocabulary

COST_TEMPERATURE = 0.1


def segmentation_loss(
    output: ERRSegOutput, labels: Tensor, vocabulary: StepVocabulary, weights: Tensor, recipe: TrainingRecipe
) -> Tensor:
    """Binary cross-entropy over the kept classes (paper, 4.1) and a soft Jaccard term, at full resolution.

    Args:
        output: of a batch of crops.
        labels: (B, H, W) int64 ids; VOID counts nothing.
        vocabulary: of this step.
        weights: (classes + 1,) weight of a pixel by its label, 0 for void.
        recipe: weights of the terms.
    """
    logits = F.interpolate(output.logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    classes = vocabulary.class_of[output.selected][:, :, None, None]
    relatives = vocabulary.relative_of[output.selected][:, :, None, None]
    truth = labels[:, None]
    target = (truth == classes).float()
    weight = weights[labels][:, None] * torch.where(truth == relatives, recipe.related_weight, 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum") / weight.sum()
    loss: Tensor = entropy * logits.shape[1] ** 0.5 + recipe.jaccard_weight * _jaccard_loss(
        logits, target, truth, weights
    )
    return loss


def _jaccard_loss(logits: Tensor, target: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """1 - soft intersection over union of every map (B, K, H, W) whose class is in the picture."""
    score = logits.sigmoid() * (weights[truth] > 0)
    both = (score * target).sum((2, 3))
    area = target.sum((2, 3))
    union = score.sum((2, 3)) + area - both
    present = area > 0
    return (1 - both[present] / union[present]).mean() if present.any() else logits.sum() * 0


def cost_loss(output: ERRSegOutput, labels: Tensor, vocabulary: StepVocabulary, weights: Tensor) -> Tensor:
    """Cross-entropy of the cost maps themselves at both strides, so that the CRM can rely on them."""
    total = torch.zeros(())
    for maps in (output.cost.stride16, output.cost.stride32):
        stride = labels.shape[1] // maps.shape[2]
        coarse = labels[:, stride // 2 :: stride, stride // 2 :: stride]
        void = weights[coarse] == 0
        entropy = F.cross_entropy(maps / COST_TEMPERATURE, coarse.masked_fill(void, -100), ignore_index=-100)
        total = total + torch.nan_to_num(entropy)
    return total / 2

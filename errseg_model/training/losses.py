"""What training minimises.

Every mean is over all processes: each adds its share, so that the gradients, which the processes average, are those
of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.network.errseg import ERRSegOutput
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import StepVocabulary

COST_TEMPERATURE = 0.1
LOWEST_COSINE = -1.0


@dataclass(frozen=True)
class Processes:
    """The processes that share a batch."""

    count: int = 1
    sum: Callable[[Tensor], Tensor] = lambda tensor: tensor
    """Of a tensor of every process."""
    max: Callable[[Tensor], Tensor] = lambda tensor: tensor

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        """This process's share of sum(total) / sum(count); 0 where nothing counts."""
        everywhere = self.sum(count.detach())
        return total * self.count / torch.where(everywhere > 0, everywhere, 1)


def segmentation_losses(
    output: ERRSegOutput,
    labels: Tensor,
    vocabulary: StepVocabulary,
    weights: Tensor,
    recipe: TrainingRecipe,
    processes: Processes,
) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy over the kept classes (paper, 4.1) and a soft Jaccard term, at full resolution.

    Args:
        output: of a batch of crops.
        labels: (B, H, W) int64; the number of classes is void and counts nothing.
        vocabulary: of this step.
        weights: (classes + 1,) weight of a pixel by its label, 0 for void.
        recipe: weights of the terms.
        processes: that share the batch.
    """
    logits = F.interpolate(output.logits.float(), size=labels.shape[1:], mode="bilinear", align_corners=False)
    classes = vocabulary.class_of[output.selected][:, :, None, None]
    relatives = vocabulary.relative_of[output.selected][:, :, None, None]
    truth = labels[:, None]
    target = (truth == classes).float()
    weight = weights[labels][:, None] * torch.where(truth == relatives, recipe.related_weight, 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
    jaccard = logits.new_zeros(())
    if recipe.jaccard_weight:
        jaccard = processes.mean(*_jaccard_loss(logits, target, truth, weights))
    return (
        recipe.entropy_weight * processes.mean(entropy, weight.sum()),
        recipe.jaccard_weight * jaccard,
    )


def _jaccard_loss(logits: Tensor, target: Tensor, truth: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """1 - soft IoU, summed over the maps (B, K, H, W) whose class is in the picture, and their number."""
    score = logits.sigmoid() * (weights[truth] > 0)
    both = (score * target).sum((2, 3))
    area = target.sum((2, 3))
    union = score.sum((2, 3)) + area - both
    present = area > 0
    return ((1 - both / union.clamp(min=1)) * present).sum(), present.sum()


def cost_loss(
    output: ERRSegOutput, labels: Tensor, vocabulary: StepVocabulary, weights: Tensor, processes: Processes
) -> Tensor:
    """Cross-entropy of the cost maps themselves at both strides, so that the CRM can rely on them.

    What a place should say is the share of each class in it, a pixel weighted by 1 / share of its class, the square of
    its weight elsewhere: a pole that fills a tenth of a place gets its first vote, as one lost here is lost for good.
    A related word does not compete where its relative stands.
    """
    pixels = F.one_hot(labels, len(weights)).permute(0, 3, 1, 2) * weights.square()[:, None, None]
    named = vocabulary.class_of >= 0
    total = torch.zeros((), device=labels.device)
    for maps in (output.cost.stride16.float(), output.cost.stride32.float()):
        shares = F.avg_pool2d(pixels, labels.shape[1] // maps.shape[2])
        mass = shares.sum(1, keepdim=True)
        counts = mass > 0
        shares = shares / torch.where(counts, mass, 1)
        target = shares[:, vocabulary.class_of.clamp(min=0)] * named[:, None, None]
        related = (shares[:, vocabulary.relative_of.clamp(min=0)] > 0) & (vocabulary.relative_of >= 0)[:, None, None]
        entropy = F.cross_entropy(maps.masked_fill(related, LOWEST_COSINE) / COST_TEMPERATURE, target, reduction="sum")
        total = total + processes.mean(entropy, counts.sum())
    return total / 2

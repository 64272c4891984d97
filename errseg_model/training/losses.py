"""What training minimises.

Every mean is over all processes: each adds its share, so that the gradients, which the processes average, are those
of one process with the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.network.errseg import ERRSegOutput
from errseg_model.network.hsm import CostMaps
from errseg_model.training.prototypes import TEMPERATURE
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import StepVocabulary

COST_TEMPERATURE = 0.1


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
    truth = labels[:, None]
    target = (truth == classes).float()
    related = torch.zeros_like(target, dtype=torch.bool)
    for relatives in vocabulary.relatives_of.T:
        related |= truth == relatives[output.selected][:, :, None, None]
    weight = weights[labels][:, None] * torch.where(related, recipe.related_weight, 1.0)
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
    output: ERRSegOutput,
    labels: Tensor,
    vocabulary: StepVocabulary,
    weights: Tensor,
    recipe: TrainingRecipe,
    processes: Processes,
) -> Tensor:
    """Cross-entropy of the cost maps themselves at both strides, so that the CRM can rely on them.

    What a place should say is the share of each class in it, a pixel weighted by 1 / share of its class, the square of
    its weight elsewhere: a pole that fills a tenth of a place gets its first vote, as one lost here is lost for good.
    A related word competes less where a relative of it stands: it counts `recipe.related_weight` times.
    """
    found, position = labels.unique(return_inverse=True)
    pixels = F.one_hot(position, len(found)).permute(0, 3, 1, 2) * weights[found].square()[:, None, None]
    named = _positions(vocabulary.class_of, found)
    relatives = _positions(vocabulary.relatives_of, found).T
    competing = math.log(max(recipe.related_weight, 1e-6))
    total = torch.zeros((), device=labels.device)
    for maps in (output.cost.stride16.float(), output.cost.stride32.float()):
        shares = F.avg_pool2d(pixels, labels.shape[1] // maps.shape[2])
        mass = shares.sum(1, keepdim=True)
        counts = mass > 0
        shares = shares / torch.where(counts, mass, 1)
        target = shares[:, named.clamp(min=0)] * (named >= 0)[:, None, None]
        related = ((shares[:, relatives.clamp(min=0)] > 0) & (relatives >= 0)[..., None, None]).any(1)
        logits = maps / COST_TEMPERATURE + related * competing
        entropy = F.cross_entropy(logits, target, reduction="sum")
        total = total + processes.mean(entropy, counts.sum())
    return total / 2


def teacher_loss(maps: CostMaps, said: Tensor, processes: Processes) -> Tensor:
    """Cross-entropy of the cost maps of ImageNet's names at both strides to what the teacher says.

    Args:
        maps: of the 1000 names.
        said: (B, 1000, H/16, W/16) probabilities.
        processes: that share the batch.
    """
    total = torch.zeros((), device=said.device)
    for logits in (maps.stride16.float() / TEMPERATURE, maps.stride32.float() / TEMPERATURE):
        target = F.adaptive_avg_pool2d(said, (logits.shape[2], logits.shape[3]))
        entropy = F.cross_entropy(logits, target, reduction="sum")
        total = total + processes.mean(entropy, said.new_tensor(target[:, 0].numel()))
    return total / 2


def _positions(wanted: Tensor, found: Tensor) -> Tensor:
    """Where in `found` (ascending) each label of `wanted` is; -1 where it is not."""
    position = torch.searchsorted(found, wanted).clamp(max=len(found) - 1)
    return torch.where(found[position] == wanted, position, -1)

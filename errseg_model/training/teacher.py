"""The image tower as ImageNet left it, read place by place: it names what no label does.

A classifier of whole pictures whose last average is left out says at every place what is there (MaskCLIP, Zhou et al.,
2022, does so with CLIP). What it says of street sign, worm fence or unicycle is how errseg-lite learns to tell things
that its data has no label of.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.network.image_tower import EfficientNetLiteTower

PLACE = 16
"""Side in pixels of what the teacher tells apart."""


class ImageNetTeacher(nn.Module):
    """A frozen copy of a tower with ImageNet's weights and their classifier."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tower: EfficientNetLiteTower, weight: Tensor, bias: Tensor) -> None:
        """Classifier `weight` (1000, F) and `bias` (1000,)."""
        super().__init__()
        features: Any = copy.deepcopy(tower)
        features.head = nn.Identity()  # it is asked for the features before the projection
        self._tower = features.requires_grad_(False)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> ImageNetTeacher:
        """Stays as it is: what it says must not depend on the batch."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B, 1000, H/16, W/16) probabilities of ImageNet's classes, of normalised images (B, 3, H, W).

        The mean of two readings: stride 32, which it was trained at, knows more; stride 16 knows better where.
        """
        features = self._tower(images)
        fine, coarse = (self._classify(dense) for dense in (features.dense16, features.dense32))
        return (fine + F.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)) / 2

    def _classify(self, features: Tensor) -> Tensor:
        logits = torch.einsum("bfhw,nf->bnhw", features.float(), self.weight) + self.bias[:, None, None]
        return logits.softmax(1)


def name_void(labels: Tensor, said: Tensor, void: int, allowed: Tensor, threshold: float) -> Tensor:
    """Labels whose void pixels have the teacher's name where it is sure.

    Args:
        labels: (B, H, W) int64, `void` where nothing is labelled.
        said: (B, 1000, H/16, W/16) probabilities.
        void: label; name n of ImageNet becomes void + 1 + n.
        allowed: (1000,) bool, names that may be given.
        threshold: the least probability. What has fewer pixels in an image than a place of the teacher's stays void.
    """
    probability, name = said.max(1)
    sure = (probability >= threshold) & allowed[name]
    given = torch.where(sure, void + 1 + name, void)
    finer = given.repeat_interleave(PLACE, 1).repeat_interleave(PLACE, 2)
    named = torch.where(labels == void, finer, labels)
    counts = torch.zeros(len(labels), void + 1 + said.shape[1], dtype=torch.int64, device=labels.device)
    counts.scatter_add_(1, named.flatten(1), torch.ones_like(named).flatten(1))
    many = counts.gather(1, named.flatten(1)).view_as(named) >= PLACE**2
    return torch.where((named > void) & ~many, void, named)

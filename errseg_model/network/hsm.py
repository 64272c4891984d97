"""HSM, the hierarchical semantic module: cost maps of every class at two strides (paper, 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.network.image_tower import ImageFeatures, ImageTower


@dataclass(frozen=True)
class CostMaps:
    """Cosine similarity of pixels and words, -1..1."""

    stride16: Tensor
    """(B, T, H/16, W/16); after the channel reduction (B, K, H/16, W/16)."""
    stride32: Tensor
    """(B, T, H/32, W/32); likewise."""

    def gather(self, selected: Tensor) -> CostMaps:
        """The maps of the classes `selected` (B, K) of each image."""
        return CostMaps(gather_classes(self.stride16, selected), gather_classes(self.stride32, selected))


@dataclass(frozen=True)
class DenseEmbeddings:
    """Unit vectors of an image's pixels in the text's space; they know no vocabulary."""

    stride16: Tensor
    """(B, C, H/16, W/16)."""
    stride32: Tensor
    """(B, C, H/32, W/32)."""

    def cost_maps(self, text: Tensor) -> CostMaps:
        """Compared with every class of text (T, C), unit vectors."""
        return CostMaps(cost_map(self.stride16, text), cost_map(self.stride32, text))


class HierarchicalSemanticModule(nn.Module):
    """Reads dense embeddings at strides 16 and 32, to be compared with the text.

    Whatever precision the image tower computes in, embeddings are normalised and compared in float32: the order of
    the classes hangs on differences of cosines. Only a training in mixed precision compares them in its low precision,
    as the published one does; errseg-lite was trained without.
    """

    def __init__(self, image_tower: ImageTower) -> None:
        super().__init__()
        self.image_tower = image_tower

    def forward(self, images: Tensor) -> tuple[ImageFeatures, DenseEmbeddings]:
        """Images (B, 3, H, W)."""
        features: ImageFeatures = self.image_tower(images)
        dense16, dense32 = (F.normalize(dense.float(), dim=1) for dense in (features.dense16, features.dense32))
        return features, DenseEmbeddings(dense16, dense32)


def cost_map(dense: Tensor, text: Tensor) -> Tensor:
    """Cosine similarity (B, T, h, w) of unit embeddings (B, C, h, w) and (T, C)."""
    return torch.einsum("bchw,tc->bthw", dense, text)


def gather_classes(maps: Tensor, selected: Tensor) -> Tensor:
    """Of maps (B, T, h, w) those of the classes `selected` (B, K): (B, K, h, w)."""
    return maps.gather(1, selected[:, :, None, None].expand(-1, -1, *maps.shape[-2:]))

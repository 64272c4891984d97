"""Cost embedding: the kept cost maps of both strides become one D-channel map per class (paper, 3.4)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.network.class_parts import CLASSES_AT_A_TIME, by_parts
from errseg_model.network.hsm import CostMaps

FoldedLayer = tuple[Tensor, Tensor]
"""Weight and bias of a convolution."""


class CostEmbedding(nn.Module):
    """A 7x7 convolution per stride, the mean of both at stride 16, a 1x1 convolution to D.

    All of it is linear, so the 1x1 convolution is folded into the 7x7 ones: the maps in between, which are wider
    than D, are never built.
    """

    def __init__(self, cost_width: int, width: int) -> None:
        super().__init__()
        self.corr_proj_convs: Any = nn.ModuleList(
            nn.Sequential(nn.Conv2d(1, cost_width, kernel_size=7, padding=3)) for _ in range(2)
        )
        self.low_corr_fusion: Any = nn.Conv2d(cost_width, width, kernel_size=1)

    def forward(self, cost: CostMaps) -> Tensor:
        """Kept cost maps (B, K, ...) to tokens (B, K, H/16, W/16, D)."""
        levels = self._folded(0), self._folded(1)
        return by_parts(
            lambda fine, coarse: self._embed(fine, coarse, levels), CLASSES_AT_A_TIME, cost.stride16, cost.stride32
        )

    def _embed(self, fine: Tensor, coarse: Tensor, levels: tuple[FoldedLayer, FoldedLayer]) -> Tensor:
        """Cost maps at strides 16 and 32 to tokens."""
        x, low = (
            F.conv2d(maps.flatten(0, 1)[:, None], *folded, padding=convolution[0].padding)
            for maps, folded, convolution in zip((fine, coarse), levels, self.corr_proj_convs, strict=True)
        )
        x = x + F.interpolate(low, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        embedded: Tensor = x.permute(0, 2, 3, 1).unflatten(0, (fine.shape[0], -1))
        return embedded

    def _folded(self, level: int) -> FoldedLayer:
        """Half of the 1x1 convolution of the level's 7x7 convolution, as one."""
        convolution, fusion = self.corr_proj_convs[level][0], self.low_corr_fusion
        mix = fusion.weight[:, :, 0, 0] / 2
        weight = (mix @ convolution.weight.flatten(1)).unflatten(1, convolution.weight.shape[1:])
        bias = mix @ convolution.bias + fusion.bias / 2
        return weight, bias

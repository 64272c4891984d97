"""Cost embedding: the kept cost maps of both strides become one D-channel map per class (paper, 3.4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.network.hsm import CostMaps


class CostEmbedding(nn.Module):
    """A 7x7 convolution per stride, the mean of both at stride 16, a 1x1 convolution to D."""

    def __init__(self, cost_width: int, width: int) -> None:
        super().__init__()
        self.corr_proj_convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(1, cost_width, kernel_size=7, padding=3)) for _ in range(2)
        )
        self.low_corr_fusion = nn.Conv2d(cost_width, width, kernel_size=1)

    def forward(self, cost: CostMaps) -> Tensor:
        """Kept cost maps (B, K, ...) to (B, K, D, H/16, W/16)."""
        batch, classes, height, width = cost.stride16.shape
        fine = self.corr_proj_convs[0](cost.stride16.flatten(0, 1)[:, None])
        coarse = self.corr_proj_convs[1](cost.stride32.flatten(0, 1)[:, None])
        coarse = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
        embedded: Tensor = self.low_corr_fusion((fine + coarse) / 2).unflatten(0, (batch, classes))
        return embedded

"""ESCF, efficient semantic context fusion: cost maps exchange context over space and over classes (paper, 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MLP_RATIO = 3
"""Hidden width of the gated MLP in units of D."""


class Attention(nn.Module):
    """Multi-head attention whose queries and keys see [x, guidance] and whose values see x alone.

    With `reduction` keys and values first shrink by a 2x2 convolution of stride 2 and a LayerNorm.
    """

    def __init__(self, width: int, heads: int, *, reduction: bool) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(2 * width, width)
        self.k = nn.Linear(2 * width, width)
        self.v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.reduction = reduction
        if reduction:
            self.sr_k = nn.Conv2d(2 * width, 2 * width, kernel_size=2, stride=2)
            self.norm_k = nn.LayerNorm(2 * width)
            self.sr_v = nn.Conv2d(width, width, kernel_size=2, stride=2)
            self.norm_v = nn.LayerNorm(width)

    def forward(self, x: Tensor, guidance: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens x and guidance (N, L, D); `size` (h, w) with h * w = L is read only with reduction."""
        guided = torch.cat((x, guidance), dim=-1)
        keys, values = guided, x
        if self.reduction:
            keys = self.norm_k(_convolve(self.sr_k, guided, size))
            values = self.norm_v(_convolve(self.sr_v, x, size))
        heads = (self._split(self.q(guided)), self._split(self.k(keys)), self._split(self.v(values)))
        attended = F.scaled_dot_product_attention(*heads)
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)  # (N, heads, L, D / heads)


class GatedMLP(nn.Module):
    """ReLU6(fc1) * fc2, then fc3, then a 7x7 depthwise convolution (spatial) or a ReLU6 (class)."""

    def __init__(self, width: int, *, spatial: bool) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(width, MLP_RATIO * width)
        self.fc3 = nn.Linear(MLP_RATIO * width, width)
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width) if spatial else None

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (N, L, D)."""
        x = self.fc3(F.relu6(self.fc1(x)) * self.fc2(x))
        return F.relu6(x) if self.dwconv is None else _convolve(self.dwconv, x, size)


class FusionBlock(nn.Module):
    """Pre-norm attention and pre-norm gated MLP, each with a residual."""

    def __init__(self, width: int, heads: int, *, spatial: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, reduction=spatial)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = GatedMLP(width, spatial=spatial)

    def forward(self, x: Tensor, guidance: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens x and guidance (N, L, D) on a grid of `size` (h, w)."""
        x = x + self.attention(self.norm1(x), guidance, size)
        out: Tensor = x + self.mlp(self.norm2(x), size)
        return out


class SpatialFusion(nn.Module):
    """Per class over positions, guided by the image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.sa = FusionBlock(width, heads, spatial=True)

    def forward(self, x: Tensor, image_guidance: Tensor) -> Tensor:
        """x (B, K, D, h, w), guidance (B, D, h, w)."""
        batch, classes, channels, height, width = x.shape
        tokens = x.permute(0, 1, 3, 4, 2).reshape(batch * classes, height * width, channels)
        guidance = image_guidance.flatten(2).transpose(1, 2)[:, None].expand(-1, classes, -1, -1).flatten(0, 1)
        fused: Tensor = self.sa(tokens, guidance, (height, width)).reshape(batch, classes, height, width, channels)
        return fused.permute(0, 1, 4, 2, 3)


class ClassFusion(nn.Module):
    """Per position over classes, guided by the text, at half the resolution.

    The sequence of classes carries no position code, so their order does not matter.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.sa = FusionBlock(width, heads, spatial=False)

    def forward(self, x: Tensor, text_guidance: Tensor) -> Tensor:
        """x (B, K, D, h, w), guidance (B, K, D)."""
        batch, classes, channels, height, width = x.shape
        pooled = F.avg_pool2d(x.flatten(0, 1), kernel_size=2).unflatten(0, (batch, classes))
        tokens = pooled.permute(0, 3, 4, 1, 2)  # (B, h/2, w/2, K, D)
        guidance = text_guidance[:, None, None].expand_as(tokens)
        size = tokens.shape[1:3]
        fused = self.sa(tokens.flatten(0, 2), guidance.flatten(0, 2), size)
        fused = fused.unflatten(0, (batch, *size)).permute(0, 3, 4, 1, 2).flatten(0, 1)
        fused = F.interpolate(fused, size=(height, width), mode="bilinear", align_corners=True)
        out: Tensor = x + fused.unflatten(0, (batch, classes))
        return out


class EfficientSemanticContextFusion(nn.Module):
    """One ESCF layer: spatial fusion, then class fusion."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.spatial_fusion = SpatialFusion(width, heads)
        self.class_fusion = ClassFusion(width, heads)

    def forward(self, x: Tensor, image_guidance: Tensor, text_guidance: Tensor) -> Tensor:
        """x (B, K, D, h, w), image guidance (B, D, h, w), text guidance (B, K, D)."""
        fused: Tensor = self.class_fusion(self.spatial_fusion(x, image_guidance), text_guidance)
        return fused


def _convolve(convolution: nn.Module, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply a convolution to tokens (N, h * w, D) on their grid; tokens out again."""
    grid = tokens.transpose(1, 2).unflatten(2, size)
    convolved: Tensor = convolution(grid)
    return convolved.flatten(2).transpose(1, 2)

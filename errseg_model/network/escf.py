"""ESCF, efficient semantic context fusion: cost maps exchange context over space and over classes (paper, 3.4).

Cost maps stay tokens (B, K, h, w, D) here, so that linear layers and convolutions (in channels_last) read them as
they lie. What comes from the guidance alone is the same for every class, or for every position: a projection of
[x, guidance] is computed as one of x and one of guidance, and the second one once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.network.class_parts import CLASSES_AT_A_TIME, TOKENS_AT_A_TIME, by_parts

MLP_RATIO = 3
"""Hidden width of the gated MLP in units of D."""


@dataclass(frozen=True)
class AttentionGuidance:
    """The guidance's share of queries and keys, the same for all that share the guidance."""

    queries: Tensor
    """(B, 1, h, w, D)."""
    keys: Tensor
    """(B, 1, h/2, w/2, 2D) before the LayerNorm with reduction, (B, 1, h, w, D) without."""


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

    def guide(self, guidance: Tensor) -> AttentionGuidance:
        """What queries and keys get from guidance (B, 1, h, w, D)."""
        queries = F.linear(guidance, self._shared(self.q), self.q.bias)
        if not self.reduction:
            return AttentionGuidance(queries, F.linear(guidance, self._shared(self.k), self.k.bias))
        keys = F.conv2d(_grid(guidance), self._shared(self.sr_k), self.sr_k.bias, stride=2)
        return AttentionGuidance(queries, _tokens(keys, guidance.shape[0]))

    def forward(self, x: Tensor, guidance: AttentionGuidance) -> Tensor:
        """One sequence for each of M things that share their guidance.

        Args:
            x: (B, M, h, w, D), h * w tokens each; without reduction (B, M, 1, L, D).
            guidance: of `guide`.

        Returns:
            As x.
        """
        queries = F.linear(x, self._own(self.q)) + guidance.queries
        if self.reduction:
            keys = _tokens(F.conv2d(_grid(x), self._own(self.sr_k), stride=2), x.shape[0]) + guidance.keys
            keys, values = self.k(self.norm_k(keys)), self.v(self.norm_v(_convolve(self.sr_v, x)))
        else:
            keys, values = F.linear(x, self._own(self.k)) + guidance.keys, self.v(x)
        attended = F.scaled_dot_product_attention(self._split(queries), self._split(keys), self._split(values))
        out: Tensor = self.proj(attended.transpose(1, 2).reshape(x.shape))
        return out

    @staticmethod
    def _own(layer: nn.Linear | nn.Conv2d) -> Tensor:
        """The weights of x in a layer of [x, guidance]."""
        return layer.weight.chunk(2, dim=1)[0]

    @staticmethod
    def _shared(layer: nn.Linear | nn.Conv2d) -> Tensor:
        """The weights of the guidance."""
        return layer.weight.chunk(2, dim=1)[1]

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.flatten(2, 3).flatten(0, 1).unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)  # (B * M, heads, L, D / heads)


class GatedMLP(nn.Module):
    """ReLU6(fc1) * fc2, then fc3, then a 7x7 depthwise convolution (spatial) or a ReLU6 (class)."""

    def __init__(self, width: int, *, spatial: bool) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(width, MLP_RATIO * width)
        self.fc3 = nn.Linear(MLP_RATIO * width, width)
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width) if spatial else None

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, M, h, w, D)."""
        x = self.fc3(F.relu6(self.fc1(x)) * self.fc2(x))
        return F.relu6(x) if self.dwconv is None else _convolve(self.dwconv, x)


class FusionBlock(nn.Module):
    """Pre-norm attention and pre-norm gated MLP, each with a residual."""

    def __init__(self, width: int, heads: int, *, spatial: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, reduction=spatial)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = GatedMLP(width, spatial=spatial)
        self.drop_path = 0.0
        """Probability that a residual is left out of one sequence, in training alone (stochastic depth)."""

    def forward(self, x: Tensor, guidance: AttentionGuidance) -> Tensor:
        """Tokens x (B, M, h, w, D) and their guidance."""
        x = x + self._drop(self.attention(self.norm1(x), guidance))
        out: Tensor = x + self._drop(self.mlp(self.norm2(x)))
        return out

    def _drop(self, residual: Tensor) -> Tensor:
        """A residual (B, M, h, w, D), 0 for some of the B * M sequences; the others grow, so that the mean stays."""
        if not self.training or self.drop_path == 0:
            return residual
        kept = 1 - self.drop_path
        return residual * (residual.new_empty(*residual.shape[:2], 1, 1, 1).bernoulli_(kept) / kept)


class SpatialFusion(nn.Module):
    """Per class over positions, guided by the image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.sa = FusionBlock(width, heads, spatial=True)

    def forward(self, x: Tensor, image_guidance: Tensor) -> Tensor:
        """x (B, K, h, w, D), guidance (B, D, h, w)."""
        guidance = self.sa.attention.guide(image_guidance.permute(0, 2, 3, 1)[:, None])
        return by_parts(lambda part: self.sa(part, guidance), CLASSES_AT_A_TIME, x)


class ClassFusion(nn.Module):
    """Per position over classes, guided by the text, at half the resolution.

    The sequence of classes carries no position code, so their order does not matter.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.sa = FusionBlock(width, heads, spatial=False)

    def forward(self, x: Tensor, text_guidance: Tensor) -> Tensor:
        """x (B, K, h, w, D), guidance (B, K, D)."""
        batch, classes = x.shape[:2]
        pooled = F.avg_pool2d(_grid(x), kernel_size=2)
        size = pooled.shape[-2:]
        tokens = pooled.unflatten(0, (batch, classes)).permute(0, 3, 4, 1, 2).flatten(1, 2)[:, :, None]
        guidance = self.sa.attention.guide(text_guidance[:, None, None])
        fused = by_parts(lambda part: self.sa(part, guidance), max(1, TOKENS_AT_A_TIME // classes), tokens)
        fused = fused.squeeze(2).unflatten(1, size).permute(0, 3, 1, 2, 4)
        return by_parts(_add_resized, CLASSES_AT_A_TIME, x, fused)


class EfficientSemanticContextFusion(nn.Module):
    """One ESCF layer: spatial fusion, then class fusion."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.spatial_fusion = SpatialFusion(width, heads)
        self.class_fusion = ClassFusion(width, heads)

    def forward(self, x: Tensor, image_guidance: Tensor, text_guidance: Tensor) -> Tensor:
        """x (B, K, h, w, D), image guidance (B, D, h, w), text guidance (B, K, D)."""
        fused: Tensor = self.class_fusion(self.spatial_fusion(x, image_guidance), text_guidance)
        return fused


def _add_resized(x: Tensor, coarse: Tensor) -> Tensor:
    """Tokens x (B, M, h, w, D) with coarse (B, M, h/2, w/2, D) added at their resolution."""
    fine = F.interpolate(_grid(coarse), size=x.shape[2:4], mode="bilinear", align_corners=True)
    out: Tensor = x + _tokens(fine, x.shape[0])
    return out


def _convolve(convolution: nn.Module, x: Tensor) -> Tensor:
    """A convolution of tokens (B, M, h, w, D) on their grid; tokens out again."""
    return _tokens(convolution(_grid(x)), x.shape[0])


def _grid(x: Tensor) -> Tensor:
    """Tokens (B, M, h, w, D) as a picture (B * M, D, h, w) in channels_last."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def _tokens(grid: Tensor, batch: int) -> Tensor:
    """The reverse of `_grid`."""
    tokens: Tensor = grid.permute(0, 2, 3, 1).unflatten(0, (batch, -1))
    return tokens

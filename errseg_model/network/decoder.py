"""Gradual upsampling decoder: per class from stride 16 to a logit map at stride 4 (paper, 3.5)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.config import ModelConfig
from errseg_model.network.class_parts import CLASSES_AT_A_TIME, by_parts

GROUP_SIZE = 8
"""Channels in a group of the decoder's GroupNorm."""


class UpsamplingStage(nn.Module):
    """Change resolution and width, add the image guidance, and mix with two 3x3 convolutions."""

    def __init__(self, up_conv: nn.Module, width: int, guidance_width: int) -> None:
        super().__init__()
        self.up_conv = up_conv
        self.textual_fusion: Any = nn.Sequential(
            nn.Conv2d(width + guidance_width, width, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(width // GROUP_SIZE, width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(width // GROUP_SIZE, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x (B * K, D, h, w), guidance (B, g, h', w') with h', w' the resolution after `up_conv`.

        The guidance is the same for all classes of an image, and so is its share of the first convolution, which is
        computed once.
        """
        x = self.up_conv(x)
        mix, *rest = self.textual_fusion
        own, shared = mix.weight.split((x.shape[1], guidance.shape[1]), dim=1)
        guided = F.conv2d(guidance, shared, padding=mix.padding)[:, None]
        x = F.conv2d(x, own, padding=mix.padding).unflatten(0, (guidance.shape[0], -1)) + guided
        x = x.flatten(0, 1)
        for layer in rest:
            x = layer(x)
        return x


class GradualUpsamplingDecoder(nn.Module):
    """Three stages at strides 16, 8 and 4, and one logit per class and pixel."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        first, second, third = config.decoder_widths
        guide1, guide2, guide3 = config.decoder_guidance_widths
        self.up_decoder1 = UpsamplingStage(nn.Conv2d(config.width, first, kernel_size=1), first, guide1)
        self.up_decoder2 = UpsamplingStage(nn.ConvTranspose2d(first, second, kernel_size=2, stride=2), second, guide2)
        self.up_decoder3 = UpsamplingStage(nn.ConvTranspose2d(second, third, kernel_size=2, stride=2), third, guide3)
        self.head = nn.Conv2d(third, 1, kernel_size=1)

    def forward(self, x: Tensor, guidance: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Fused cost (B, K, H/16, W/16, D) and guidance at strides 16, 8, 4 to logits (B, K, H/4, W/4)."""
        return by_parts(lambda part: self._decode(part, guidance), CLASSES_AT_A_TIME, x)

    def _decode(self, x: Tensor, guidance: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        batch, x = x.shape[0], x.flatten(0, 1).permute(0, 3, 1, 2)
        for stage, maps in zip((self.up_decoder1, self.up_decoder2, self.up_decoder3), guidance, strict=True):
            x = stage(x, maps)
        per_class: Tensor = self.head(x).squeeze(1).unflatten(0, (batch, -1))
        return per_class

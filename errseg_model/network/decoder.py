"""Gradual upsampling decoder: per class from stride 16 to a logit map at stride 4 (paper, 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from errseg_model.config import ModelConfig

GROUP_SIZE = 8
"""Channels in a group of the decoder's GroupNorm."""


class UpsamplingStage(nn.Module):
    """Change resolution and width, add the image guidance, and mix with two 3x3 convolutions."""

    def __init__(self, up_conv: nn.Module, width: int, guidance_width: int) -> None:
        super().__init__()
        self.up_conv = up_conv
        self.textual_fusion = nn.Sequential(
            nn.Conv2d(width + guidance_width, width, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(width // GROUP_SIZE, width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(width // GROUP_SIZE, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, guidance: Tensor, classes: int) -> Tensor:
        """x (B * K, D, h, w), guidance (B, g, h', w') with h', w' the resolution after `up_conv`."""
        x = self.up_conv(x)
        guidance = guidance[:, None].expand(-1, classes, -1, -1, -1).flatten(0, 1)
        fused: Tensor = self.textual_fusion(torch.cat((x, guidance), dim=1))
        return fused


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
        """Fused cost (B, K, D, H/16, W/16) and guidance at strides 16, 8, 4 to logits (B, K, H/4, W/4)."""
        batch, classes = x.shape[:2]
        x = x.flatten(0, 1)
        x = self.up_decoder1(x, guidance[0], classes)
        x = self.up_decoder2(x, guidance[1], classes)
        x = self.up_decoder3(x, guidance[2], classes)
        logits: Tensor = self.head(x).squeeze(1).unflatten(0, (batch, classes))
        return logits

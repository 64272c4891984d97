"""Guidance: what the image and the words tell ESCF and the decoder beside the cost maps (paper, 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.config import ModelConfig

FEATURE_LIMIT = 16.0
"""Features are clamped to +-16 before they guide anything (published code)."""


@dataclass(frozen=True)
class Guidance:
    """Image guidance, shared by all classes of an image."""

    aggregator: Tensor
    """(B, D, H/16, W/16) for ESCF's spatial fusion."""
    decoder: tuple[Tensor, Tensor, Tensor]
    """(B, g, h, w) at strides 16, 8, 4 for the decoder."""


class ImageGuidance(nn.Module):
    """Projects the image tower's features for the aggregator and for the decoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stride4, stride8, stride16, stride32 = config.stage_widths
        self.img_guidance_projection_agg = nn.ModuleList(
            _projection(channels, config.guidance_width) for channels in (stride32, stride16)
        )
        self.low_img_fusion = nn.Conv2d(config.guidance_width, config.width, kernel_size=1)
        self.img_guidance_projection_dec = nn.ModuleList(
            _projection(channels, out)
            for channels, out in zip((stride16, stride8, stride4), config.decoder_guidance_widths, strict=True)
        )
        self.detaches_decoder = False
        """Whether the image tower learns nothing through the decoder's guidance (published code)."""

    def forward(self, stages: tuple[Tensor, Tensor, Tensor, Tensor]) -> Guidance:
        """Features at strides 4, 8, 16, 32."""
        stride4, stride8, stride16, stride32 = (x.clamp(-FEATURE_LIMIT, FEATURE_LIMIT) for x in stages)
        coarse = self.img_guidance_projection_agg[0](stride32)
        coarse = F.interpolate(coarse, size=stride16.shape[-2:], mode="bilinear", align_corners=False)
        fine = self.img_guidance_projection_agg[1](stride16)
        at16, at8, at4 = (
            project(x.detach() if self.detaches_decoder else x)
            for project, x in zip(self.img_guidance_projection_dec, (stride16, stride8, stride4), strict=True)
        )
        return Guidance(aggregator=self.low_img_fusion((coarse + fine) / 2), decoder=(at16, at8, at4))


class TextGuidance(nn.Module):
    """Unit text embeddings (..., C) to (..., D): a linear layer and GELU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text_guidance_projection = nn.Sequential(nn.Linear(config.embedding_size, config.width), nn.GELU())

    def forward(self, text: Tensor) -> Tensor:
        guidance: Tensor = self.text_guidance_projection(text)
        return guidance


def _projection(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, kernel_size=3, padding=1), nn.ReLU6())

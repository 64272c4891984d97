"""ERR-Seg put together: images and text embeddings in, the logits of the kept classes out (arXiv 2501.17642)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from errseg_model.config import ModelConfig
from errseg_model.network.cost_embedding import CostEmbedding
from errseg_model.network.crm import select_classes
from errseg_model.network.decoder import GradualUpsamplingDecoder
from errseg_model.network.escf import EfficientSemanticContextFusion
from errseg_model.network.guidance import ImageGuidance, TextGuidance
from errseg_model.network.hsm import CostMaps, HierarchicalSemanticModule
from errseg_model.network.image_tower import ImageTower


@dataclass(frozen=True)
class ERRSegOutput:
    """What the network knows of a batch of images."""

    logits: Tensor
    """(B, K, H/4, W/4) before the sigmoid."""
    selected: Tensor
    """(B, K) int64, the class of each logit map, ascending."""
    cost: CostMaps
    """Cost maps of all T classes, for the training losses."""


class ERRSeg(nn.Module):
    """HSM, CRM, cost embedding and guidance, ESCF, decoder."""

    def __init__(self, config: ModelConfig, image_tower: ImageTower) -> None:
        super().__init__()
        self.hsm = HierarchicalSemanticModule(image_tower)
        self.cost_embedding = CostEmbedding(config.cost_width, config.width)
        self.image_guidance = ImageGuidance(config)
        self.text_guidance = TextGuidance(config)
        self.escf = nn.ModuleList(
            EfficientSemanticContextFusion(config.width, config.heads) for _ in range(config.layers)
        )
        self.decoder = GradualUpsamplingDecoder(config)

    def forward(self, images: Tensor, text: Tensor, max_classes: int, keep: Tensor | None = None) -> ERRSegOutput:
        """Segment a batch.

        Args:
            images: (B, 3, H, W) normalised, H and W multiples of 32.
            text: (T, C) unit embeddings of the vocabulary.
            max_classes: K of the channel reduction.
            keep: (B, T) bool, classes that the reduction must not drop (training).
        """
        features, cost = self.hsm(images, text)
        selected = select_classes(cost.stride16.detach(), max_classes, keep)
        guidance = self.image_guidance(features.stages)
        text_guidance = self.text_guidance(text)[selected]
        x = self.cost_embedding(cost.gather(selected))
        for layer in self.escf:
            x = layer(x, guidance.aggregator, text_guidance)
        return ERRSegOutput(self.decoder(x, guidance.decoder), selected, cost)

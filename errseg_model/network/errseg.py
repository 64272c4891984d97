"""ERR-Seg put together: images and text embeddings in, the logits of the kept classes out (arXiv 2501.17642)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from errseg_model.config import STRIDES, ModelConfig
from errseg_model.letterbox import fitted_places
from errseg_model.network.cost_embedding import CostEmbedding
from errseg_model.network.crm import select_classes
from errseg_model.network.decoder import GradualUpsamplingDecoder
from errseg_model.network.escf import EfficientSemanticContextFusion, FusionBlock
from errseg_model.network.guidance import Guidance, ImageGuidance, TextGuidance
from errseg_model.network.hsm import CostMaps, DenseEmbeddings, HierarchicalSemanticModule
from errseg_model.network.image_tower import ImageTower


@dataclass(frozen=True)
class ImageEncoding:
    """What the network reads of a batch of images before it hears any word."""

    dense: DenseEmbeddings
    guidance: Guidance


@dataclass(frozen=True)
class ERRSegOutput:
    """What the network knows of a batch of images."""

    logits: Tensor
    """(B, K, H/4, W/4) before the sigmoid, of the image without padding."""
    selected: Tensor
    """(B, K) int64, the class of each logit map, ascending."""
    cost: CostMaps
    """Cost maps of all T classes, for the training losses."""


class Halves(Protocol):
    """The two halves of ERR-Seg that cost time; between them lie the comparison with the words and the CRM.

    Neither half knows T, the size of the vocabulary, so whatever compiles or exports them serves every vocabulary.
    """

    def encode(self, images: Tensor) -> ImageEncoding:
        """HSM up to the dense embeddings, and the image guidance, of images (B, 3, H, W)."""

    def fuse(self, cost: CostMaps, text: Tensor, guidance: Guidance) -> Tensor:
        """Cost embedding, ESCF and decoder: logits (B, K, H/4, W/4).

        Args:
            cost: of the kept classes, (B, K, ...).
            text: (B, K, C) their unit embeddings.
            guidance: of `encode`.
        """


def segment_batch(
    halves: Halves,
    images: Tensor,
    text: Tensor,
    select: Callable[[Tensor], Tensor],
    *,
    fitted: tuple[int, int] | None = None,
) -> ERRSegOutput:
    """Segment a batch.

    Args:
        halves: the network, or what computes its halves in its place.
        images: (B, 3, H, W) normalised, H and W multiples of 32.
        text: (T, C) unit embeddings of the vocabulary.
        select: the channel reduction, such as `select_classes`: of cost maps (B, T, h, w) at stride 16 the classes
            (B, K) int64 that stay, ascending.
        fitted: (height, width) of the pixels, from the upper left, that are image and not padding: only these choose
            the classes, and only their logits come out. None for all.
    """
    fitted = fitted or (images.shape[2], images.shape[3])
    encoding = halves.encode(images)
    cost = encoding.dense.cost_maps(text)
    rows, columns = fitted_places(fitted, STRIDES[2])
    selected = select(cost.stride16[:, :, :rows, :columns].detach())
    logits = halves.fuse(cost.gather(selected), text[selected], encoding.guidance)
    logits = logits[:, :, : fitted[0] // STRIDES[0], : fitted[1] // STRIDES[0]]
    return ERRSegOutput(logits, selected, cost)


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

    def encode(self, images: Tensor) -> ImageEncoding:
        """See `Halves`."""
        features, dense = self.hsm(images.to(self.dtype))
        return ImageEncoding(dense, self.image_guidance(features.stages))

    def fuse(self, cost: CostMaps, text: Tensor, guidance: Guidance) -> Tensor:
        """See `Halves`."""
        text_guidance = self.text_guidance(text.to(self.dtype))
        x = self.cost_embedding(cost).to(self.dtype)
        for layer in self.escf:
            x = layer(x, guidance.aggregator, text_guidance)
        logits: Tensor = self.decoder(x, guidance.decoder)
        return logits.float()

    def set_training(self, *, guidance_gradient: bool, drop_path: float) -> None:
        """How the network is trained, which changes nothing of what it computes in evaluation mode.

        Args:
            guidance_gradient: whether the image tower learns through the decoder's guidance, too.
            drop_path: layer i of ESCF, from 0, leaves out a residual with a probability of i times this.
        """
        self.image_guidance.detaches_decoder = not guidance_gradient
        for number, layer in enumerate(self.escf):
            for block in layer.modules():
                if isinstance(block, FusionBlock):
                    block.drop_path = number * drop_path

    @property
    def dtype(self) -> torch.dtype:
        """What images, tokens and guidance are computed in."""
        return self.decoder.head.weight.dtype

    def set_precision(self, dtype: torch.dtype) -> None:
        """Compute in bfloat16 or float16, for good; embeddings, cost maps and logits stay float32.

        So do what is folded (the cost embedding) or divides by a variance (the running one of BatchNorm). The
        statistics of LayerNorm and GroupNorm and attention's softmax are float32 inside PyTorch's kernels.
        """
        exact = [self.cost_embedding, *(module for module in self.modules() if isinstance(module, nn.BatchNorm2d))]
        weights = [{name: tensor.clone() for name, tensor in module.state_dict().items()} for module in exact]
        self.to(dtype)
        for module, kept in zip(exact, weights, strict=True):
            module.float().load_state_dict(kept)  # .float() alone would leave them rounded

    def forward(self, images: Tensor, text: Tensor, max_classes: int) -> ERRSegOutput:
        """`segment_batch` with this network and the paper's fixed K."""
        return segment_batch(self, images, text, partial(select_classes, max_classes=max_classes))

"""The two halves as graphs of named tensors, which is what compilers and exporters take.

encode: images -> dense embeddings, guidance
fuse:   cost maps of the kept classes, their text embeddings, guidance -> logits

Between them lies what knows the vocabulary (`network.errseg.segment_batch`), so no graph depends on T.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from errseg_model.network.errseg import ERRSeg, Halves, ImageEncoding
from errseg_model.network.guidance import Guidance
from errseg_model.network.hsm import CostMaps, DenseEmbeddings

GUIDANCE = ("guidance_escf", "guidance16", "guidance8", "guidance4")
ENCODE_INPUTS = ("images",)
ENCODE_OUTPUTS = ("dense16", "dense32", *GUIDANCE)
FUSE_INPUTS = ("cost16", "cost32", "text", *GUIDANCE)
FUSE_OUTPUTS = ("logits",)

FUSE_CLASSES = 3
"""How many of FUSE_INPUTS, from the first, have K as their second dimension."""


class EncodeGraph(nn.Module):
    """`Halves.encode` of the network: ENCODE_INPUTS to ENCODE_OUTPUTS."""

    def __init__(self, network: ERRSeg) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        encoding = self.network.encode(images)
        guidance = encoding.guidance
        return encoding.dense.stride16, encoding.dense.stride32, guidance.aggregator, *guidance.decoder


class FuseGraph(nn.Module):
    """`Halves.fuse` of the network: FUSE_INPUTS to FUSE_OUTPUTS."""

    def __init__(self, network: ERRSeg) -> None:
        super().__init__()
        self.network = network

    def forward(self, cost16: Tensor, cost32: Tensor, text: Tensor, *guidance: Tensor) -> Tensor:
        return self.network.fuse(CostMaps(cost16, cost32), text, _guidance(guidance))


class GraphHalves(Halves):
    """Both halves computed by graphs; what is left for a backend is to run one."""

    def encode(self, images: Tensor) -> ImageEncoding:
        """See `Halves`."""
        dense16, dense32, *guidance = self.run_encode(images)
        return ImageEncoding(DenseEmbeddings(dense16, dense32), _guidance(guidance))

    def fuse(self, cost: CostMaps, text: Tensor, guidance: Guidance) -> Tensor:
        """See `Halves`."""
        return self.run_fuse((cost.stride16, cost.stride32, text, guidance.aggregator, *guidance.decoder))

    def run_encode(self, images: Tensor) -> Sequence[Tensor]:
        """ENCODE_OUTPUTS of images (B, 3, H, W)."""
        raise NotImplementedError

    def run_fuse(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Logits of FUSE_INPUTS."""
        raise NotImplementedError


def _guidance(maps: Sequence[Tensor]) -> Guidance:
    aggregator, at16, at8, at4 = maps
    return Guidance(aggregator, (at16, at8, at4))

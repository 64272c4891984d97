"""The stages of an image, and where in the network each of them ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from errseg_model.network.errseg import ERRSeg, Halves, ImageEncoding
from errseg_model.network.guidance import Guidance
from errseg_model.network.hsm import CostMaps

DECODE = "decode"
PREPROCESS = "preprocess"
IMAGE_TOWER = "image tower"
COST_MAPS = "cost maps and selection"
GUIDANCE = "guidance"
COST_EMBEDDING = "cost embedding"
AGGREGATOR = "aggregator"
DECODER = "decoder"
ENCODE = "image tower and guidance"
FUSE = "cost embedding, aggregator, decoder"
BEST_CLASS = "resize and best class"

End = Callable[[str], None]
"""Told the name of a stage when it, or a part of it, ends."""


@contextmanager
def network_stages(network: ERRSeg, end: End) -> Iterator[None]:
    """Have `end` told where the stages inside the network end, while the block runs."""
    before = ((network.image_guidance, COST_MAPS), (network.text_guidance, COST_MAPS))
    after = (
        (network.hsm.image_tower, IMAGE_TOWER),
        (network.image_guidance, GUIDANCE),
        (network.text_guidance, GUIDANCE),
        (network.cost_embedding, COST_EMBEDDING),
        (network.escf[-1], AGGREGATOR),
        (network.decoder, DECODER),
    )
    handles = [module.register_forward_pre_hook(lambda *_, name=name: end(name)) for module, name in before]
    handles += [module.register_forward_hook(_ending(end, name)) for module, name in after]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _ending(end: End, name: str) -> Callable[[nn.Module, object, object], None]:
    def hook(module: nn.Module, inputs: object, output: object) -> None:
        end(name)

    return hook


@dataclass
class StagedHalves:
    """Halves that nothing is known of inside: `end` is told where each of them ends."""

    halves: Halves
    end: End

    def encode(self, images: Tensor) -> ImageEncoding:
        """See `Halves`."""
        encoding = self.halves.encode(images)
        self.end(ENCODE)
        return encoding

    def fuse(self, cost: CostMaps, text: Tensor, guidance: Guidance) -> Tensor:
        """See `Halves`."""
        self.end(COST_MAPS)
        logits = self.halves.fuse(cost, text, guidance)
        self.end(FUSE)
        return logits

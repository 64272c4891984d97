"""How far two ways to compute the network agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from errseg_model.config import ModelConfig
from errseg_model.network.crm import select_classes
from errseg_model.network.errseg import Halves, segment_batch


@dataclass(frozen=True)
class Agreement:
    """Of two answers to the same random input."""

    max_difference: float
    """Largest absolute difference of logits; infinite where one of them is no number."""
    mask_agreement: float
    """Share of pixels, at stride 4, with the same best class, 0..1."""

    def worse(self, other: Agreement) -> Agreement:
        """The worse figures of both."""
        return Agreement(max(self.max_difference, other.max_difference), min(self.mask_agreement, other.mask_agreement))


@torch.inference_mode()
def compare(reference: Halves, other: Halves, config: ModelConfig, batch: int, classes: int) -> Agreement:
    """Compare on a random batch of images of `config.input_size` and `classes` random words, all of them kept."""
    generator = torch.Generator().manual_seed(classes)
    images = torch.randn(batch, 3, *config.input_size, generator=generator)
    text = F.normalize(torch.randn(classes, config.embedding_size, generator=generator), dim=1)
    select = partial(select_classes, max_classes=classes)
    expected, answer = (segment_batch(halves, images, text, select).logits for halves in (reference, other))
    same = expected.argmax(dim=1) == answer.argmax(dim=1)
    difference = (expected - answer).abs().nan_to_num(nan=torch.inf)
    return Agreement(float(difference.max()), float(same.float().mean()))

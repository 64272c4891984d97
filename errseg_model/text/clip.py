"""CLIP's text tower, from open_clip: ERR-Seg-B and -L train it, so its weights come with the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.text.tower import TextTower


class ClipTextTower(TextTower):
    """The text half of an open_clip model."""

    def __init__(self, clip: nn.Module, name: str) -> None:
        """`clip` is the whole open_clip model `name`; its image half is dropped here."""
        super().__init__()
        clip.visual = nn.Identity()
        self.clip: Any = clip
        self._tokenize = open_clip.get_tokenizer(name)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """See `TextTower`."""
        return self.forward(texts)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, C) as of `embed`, with gradients for training."""
        tokens = self._tokenize(list(texts)).to(self.clip.positional_embedding.device)
        return F.normalize(self.clip.encode_text(tokens), dim=-1)

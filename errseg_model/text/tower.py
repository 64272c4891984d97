"""What every text tower can do."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class TextTower(nn.Module):
    """Base of the text towers."""

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, C) of N texts, on the tower's device. Long texts are cut at the tower's length."""
        raise NotImplementedError

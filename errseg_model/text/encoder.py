"""A vocabulary becomes text embeddings, each phrase computed once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from cachetools import LRUCache
from torch import Tensor

from errseg_model.text.tower import TextTower
from errseg_model.vocabulary import Vocabulary, VocabularyEntry

BATCH = 64
"""Phrases that go through the tower at once."""

CACHE_SIZE = 20_000
"""Phrases kept; about 30 MB for C = 384."""


class TextEncoder:
    """Encodes vocabularies with one text tower and one prompt; thread safe.

    The cache belongs to this object and is keyed by the prompted phrase, so that neither another model nor another
    prompt can ever answer for it.
    """

    def __init__(self, tower: TextTower, prompt: str, synonyms: Literal["first", "mean"]) -> None:
        self.tower = tower
        self._prompt = prompt
        self._synonyms = synonyms
        self._cache: LRUCache[str, Tensor] = LRUCache(CACHE_SIZE)
        self._lock = threading.Lock()

    def encode(self, vocabulary: Vocabulary) -> Tensor:
        """Unit vectors (T, C) of the vocabulary's entries, on the tower's device."""
        phrases = [self._phrases(entry) for entry in vocabulary.entries]
        known = self._embed([phrase for entry in phrases for phrase in entry])
        return F.normalize(
            torch.stack([torch.stack([known[phrase] for phrase in entry]).mean(0) for entry in phrases]),
            dim=-1,
        )

    def _phrases(self, entry: VocabularyEntry) -> list[str]:
        words = [entry.name] if self._synonyms == "first" else [entry.name, *entry.synonyms]
        return [self._prompt.format(word) for word in words]

    def _embed(self, phrases: Sequence[str]) -> dict[str, Tensor]:
        """Each phrase's unit vector (C,), from the cache or the tower."""
        with self._lock:
            known = {phrase: self._cache[phrase] for phrase in phrases if phrase in self._cache}
        missing = list(dict.fromkeys(phrase for phrase in phrases if phrase not in known))
        # The tower runs outside the lock: known phrases never wait for new ones.
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            known.update(zip(batch, self.tower.embed(batch), strict=True))
        with self._lock:
            self._cache.update({phrase: known[phrase] for phrase in missing})
        return known

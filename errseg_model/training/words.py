"""The vocabulary of one training step: words are learned, not indices."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

from errseg_model.text.tower import TextTower
from errseg_model.training.prototypes import imagenet_names

NO_CLASS = -1
"""Stands for 'names nothing that is labelled'; never equal to a label."""

UNRELATED_BELOW = 0.35
"""An ImageNet name is a distractor when its cosine with every trained phrase is below this."""


@dataclass(frozen=True)
class StepVocabulary:
    """T phrases: the classes in order, each under one of its names, then distractors."""

    embeddings: Tensor
    """(T, C) unit vectors."""
    class_of: Tensor
    """(T,) int64: label that the phrase names, or NO_CLASS."""
    relative_of: Tensor
    """(T,) int64: label that the phrase is close to without naming it, or NO_CLASS."""


class WordSampler:
    """Draws the vocabulary of each step from synonyms, related words and ImageNet's names."""

    def __init__(self, words: str | Path, classes: tuple[str, ...], tower: TextTower) -> None:
        content = yaml.safe_load(Path(words).read_text(encoding="utf-8"))
        self._synonyms = [content["synonyms"][name] for name in classes]
        self._related = [
            (phrase, classes.index(name)) for name, phrases in content["related"].items() for phrase in phrases
        ]
        trained = [phrase for phrases in self._synonyms for phrase in phrases]
        trained += [phrase for phrase, _ in self._related]
        names = imagenet_names()
        embeddings = tower.embed([*trained, *names]).clone()
        self._embeddings = dict(zip([*trained, *names], embeddings, strict=True))
        nearest = (embeddings[len(trained) :] @ embeddings[: len(trained)].T).amax(1)
        self._unrelated = [
            name for name, cosine in zip(names, nearest.tolist(), strict=True) if cosine < UNRELATED_BELOW
        ]

    def draw(self, rng: random.Random, distractors: int) -> StepVocabulary:
        """One name per class and `distractors` other words, half of them related to a class."""
        related = rng.sample(self._related, (distractors + 1) // 2)
        unrelated = rng.sample(self._unrelated, distractors // 2)
        phrases = [rng.choice(names) for names in self._synonyms]
        phrases += [phrase for phrase, _ in related] + unrelated
        classes = len(self._synonyms)
        return StepVocabulary(
            embeddings=torch.stack([self._embeddings[phrase] for phrase in phrases]),
            class_of=torch.tensor([*range(classes), *[NO_CLASS] * distractors]),
            relative_of=torch.tensor(
                [NO_CLASS] * classes + [label for _, label in related] + [NO_CLASS] * len(unrelated)
            ),
        )

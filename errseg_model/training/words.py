"""The vocabulary of one training step: words are learned, not indices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.errors import InputError
from errseg_model.text.tower import TextTower
from errseg_model.training.prototypes import embed_imagenet_names, imagenet_names
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.vocabulary import VocabularyEntry
from errseg_model.yaml_files import read_yaml

NO_CLASS = -1
"""Stands for 'names nothing that is labelled'; never equal to a label."""

NAMES_OF_A_CLASS = (1, 1, 1, 2, 3)
"""How many names a class goes by in a step is drawn from these: users write entries with synonyms, too."""

NUM_NAMES = 1000
"""Of ImageNet. Labels of a step: the classes, void, then these, which only the teacher gives."""

NAME_NOISE = 1.0
"""As `word_noise`, of a name that the teacher gave: fence, with a cosine of 0.7 to worm fence, is found by it."""

SAME_FROM = 0.8
"""An ImageNet name whose cosine with a phrase of a class is this large stands for the class itself."""

UNRELATED_BELOW = 0.5
"""An ImageNet name is a distractor when its cosine with every phrase of the words is below this."""


@dataclass(frozen=True)
class StepVocabulary:
    """T entries: the classes in order, each under some of its names, then distractors."""

    entries: tuple[tuple[str, ...], ...]
    """The phrases of each; an entry is encoded as their mean."""
    class_of: Tensor
    """(T,) int64: label that the entry names, or NO_CLASS."""
    relatives_of: Tensor
    """(T, R) int64: labels that the entry is close to without naming them, filled up with NO_CLASS."""
    max_classes: int
    """K of this step's channel reduction."""
    uniform: Tensor
    """(T,) random numbers in (0, 1], by which the classes are drawn that a step looks at."""
    shift: Tensor | None
    """(T, C) added to the unit vectors."""
    name_shift: Tensor
    """(1000, C) likewise, of the names of ImageNet that `with_names` adds; (0, C) without a teacher, who gives them."""

    def with_names(self, labels: Tensor, void: int) -> StepVocabulary:
        """The same with those names of ImageNet that these labels (N,) stand for and that were not drawn."""
        missing = labels[~torch.isin(labels, self.class_of)]
        names = imagenet_names()
        shift, name_shift = self.shift, self.name_shift[missing - void - 1]
        if shift is None:
            shift = name_shift.new_zeros(len(self.entries), name_shift.shape[1])
        return dataclasses.replace(
            self,
            entries=(*self.entries, *((names[label - void - 1],) for label in missing.tolist())),
            class_of=torch.cat([self.class_of, missing]),
            relatives_of=F.pad(self.relatives_of, (0, 0, 0, len(missing)), value=NO_CLASS),
            # Looked at where they stand, and drawn last elsewhere.
            uniform=torch.cat([self.uniform, self.uniform.new_full((len(missing),), torch.finfo(torch.float32).tiny)]),
            shift=torch.cat([shift, name_shift]),
        )


@dataclass(frozen=True)
class Words:
    """What classes are called, and what is close to a class without being it."""

    synonyms: tuple[tuple[str, ...], ...]
    """Of each class, in order."""
    related: tuple[tuple[str, tuple[int, ...]], ...]
    """A phrase and the classes that it is close to: a wall is like a building and a fence."""
    unrelated: tuple[str, ...]
    """Phrases of things that are no class, however near their words."""
    held_out: tuple[str, ...]
    """Phrases of classes that are not trained; none of them is a distractor either."""

    @property
    def phrases_of_classes(self) -> list[str]:
        """All synonyms, class by class."""
        return [phrase for phrases in self.synonyms for phrase in phrases]

    @classmethod
    def of_classes(cls, entries: Sequence[VocabularyEntry], held_out: Sequence[str]) -> Words:
        """Every class under its own names. Raises InputError: `held_out` names a class that is not there."""
        _check_held_out(held_out, [entry.name for entry in entries])
        names = {entry.name: (entry.name, *entry.synonyms) for entry in entries}
        kept = tuple(phrases for name, phrases in names.items() if name not in held_out)
        return cls(kept, (), (), tuple(phrase for name in held_out for phrase in names[name]))

    @classmethod
    def read(cls, path: str | Path, classes: Sequence[str], held_out: Sequence[str]) -> Words:
        """A YAML file: `synonyms` of every class, `related` phrases of some, a list `unrelated`. Raises InputError."""
        content = read_yaml(path, "words")
        synonyms, related = (_lists(content, key, path) for key in ("synonyms", "related"))
        if missing := [name for name in classes if not synonyms.get(name)]:
            raise InputError(f"words {path} have no synonyms of {', '.join(missing)}")
        if surplus := sorted((synonyms.keys() | related.keys()) - set(classes)):
            raise InputError(f"words {path} have {', '.join(surplus)}, which is no class of the data")
        unrelated = content.get("unrelated")
        if not _is_list(unrelated):
            raise InputError(f"words {path} must have `unrelated`, a list of phrases (it may be empty)")
        _check_held_out(held_out, classes)
        kept = [name for name in classes if name not in held_out]
        relatives: dict[str, tuple[int, ...]] = {}
        for label, name in enumerate(kept):
            relatives |= {phrase: (*relatives.get(phrase, ()), label) for phrase in related.get(name, [])}
        return cls(
            synonyms=tuple(tuple(synonyms[name]) for name in kept),
            related=tuple(relatives.items()),
            unrelated=tuple(unrelated),
            held_out=tuple(phrase for name in held_out for phrase in [*synonyms[name], *related.get(name, [])]),
        )


class WordSampler:
    """Draws the vocabulary of each step from synonyms, related and unrelated words and ImageNet's names."""

    def __init__(self, words: Words, recipe: TrainingRecipe, tower: TextTower, embedding_size: int) -> None:
        """Raises InputError: more distractors than there are words."""
        self._words, self._size = words, embedding_size
        self._noise = recipe.word_noise
        self._taught_count = NUM_NAMES if recipe.teacher_weight else 0
        self._related_count = min(recipe.distractors // 3, len(words.related))
        self._unrelated_count = min(recipe.distractors // 3, len(words.unrelated))
        self._imagenet_count = recipe.distractors - self._related_count - self._unrelated_count
        self._compound_count = recipe.compounds
        self._kept = recipe.min_classes, recipe.max_classes
        self._names = imagenet_names()
        self._imagenet = _unlike_names(words, tower) if self._imagenet_count else []
        if self._imagenet_count > len(self._imagenet):
            raise InputError(
                f"recipe: distractors {recipe.distractors} is more than the {len(self._imagenet)} names of ImageNet "
                f"that are unlike every class, {self._related_count} related and {self._unrelated_count} unrelated "
                "words"
            )

    @property
    def phrases(self) -> list[str]:
        """Every phrase that a step can draw."""
        related = [phrase for phrase, _ in self._words.related]
        names = [self._names[index] for index in self._imagenet]
        return [*self._words.phrases_of_classes, *related, *self._words.unrelated, *names]

    def draw(self, rng: np.random.Generator) -> StepVocabulary:
        """The vocabulary of one step, drawn from `rng`: every process draws the same."""
        words = self._words
        related = [words.related[index] for index in _choose(rng, len(words.related), self._related_count)]
        unrelated = [words.unrelated[index] for index in _choose(rng, len(words.unrelated), self._unrelated_count)]
        drawn = [self._imagenet[index] for index in _choose(rng, len(self._imagenet), self._imagenet_count)]
        counts = rng.choice(NAMES_OF_A_CLASS, len(words.synonyms))
        entries = [
            tuple(names[index] for index in _choose(rng, len(names), min(count, len(names))))
            for names, count in zip(words.synonyms, counts, strict=True)
        ]
        others = [(phrase,) for phrase in (*unrelated, *(self._names[index] for index in drawn))]
        # Half a class and half something else, as building materials are: near it, and not it.
        halves = [
            (int(rng.integers(len(entries))), int(rng.integers(len(others)))) for _ in range(self._compound_count)
        ]
        compounds = [(entries[label][0], *others[other]) for label, other in halves]
        near = [*(labels for _, labels in related), *((label,) for label, _ in halves)]
        most = max((len(labels) for _, labels in words.related), default=1)
        classes = len(entries)
        entries += [*((phrase,) for phrase, _ in related), *compounds, *others]
        return StepVocabulary(
            entries=tuple(entries),
            class_of=torch.tensor(
                [
                    *range(classes),
                    *[NO_CLASS] * (len(near) + len(unrelated)),
                    *(classes + 1 + index for index in drawn),
                ]
            ),
            relatives_of=torch.tensor(
                [
                    (*labels, *[NO_CLASS] * (most - len(labels)))
                    for labels in [*[()] * classes, *near, *[()] * len(others)]
                ]
            ),
            max_classes=int(rng.integers(*self._kept, endpoint=True)),
            uniform=torch.from_numpy(1 - rng.random(len(entries), np.float32)),
            shift=self._shift(rng, len(entries), self._noise) if self._noise else None,
            name_shift=self._shift(rng, self._taught_count, NAME_NOISE),
        )

    def _shift(self, rng: np.random.Generator, count: int, noise: float) -> Tensor:
        """Vectors of length 0 to `noise`: words that were never trained lie near those that were."""
        directions = torch.from_numpy(rng.standard_normal((count, self._size), np.float32))
        lengths = torch.from_numpy(rng.uniform(0, noise, (count, 1)).astype(np.float32))
        return F.normalize(directions, dim=1) * lengths


def _choose(rng: np.random.Generator, of: int, count: int) -> list[int]:
    """`count` different numbers below `of`."""
    return [int(index) for index in rng.permutation(of)[:count]]


def other_names(words: Words, tower: TextTower) -> Tensor:
    """(1000,) bool: which names of ImageNet do not stand for a class that is trained."""
    return _nearest(words.phrases_of_classes, tower) < SAME_FROM


def _unlike_names(words: Words, tower: TextTower) -> list[int]:
    """Which names of ImageNet are unlike every phrase of the words."""
    phrases = [*words.phrases_of_classes, *(phrase for phrase, _ in words.related), *words.held_out]
    unlike: list[int] = (_nearest(phrases, tower) < UNRELATED_BELOW).nonzero()[:, 0].tolist()
    return unlike


def _nearest(phrases: list[str], tower: TextTower) -> Tensor:
    """(1000,) the largest cosine of each name of ImageNet with any of the phrases."""
    return (embed_imagenet_names(tower) @ tower.embed(phrases).T).amax(1)


def _check_held_out(held_out: Sequence[str], classes: Sequence[str]) -> None:
    if unknown := [name for name in held_out if name not in classes]:
        raise InputError(f"recipe: held_out has {', '.join(unknown)}, which is no class of the data")
    if set(held_out) == set(classes):
        raise InputError("recipe: held_out has every class of the data: nothing is left to train")


def _lists(content: Any, key: str, path: str | Path) -> dict[str, list[str]]:
    """The mapping `key` of a words file: class names to lists of phrases."""
    mapping = content.get(key) if isinstance(content, dict) else None
    if not isinstance(mapping, dict) or not all(
        isinstance(name, str) and _is_list(phrases) for name, phrases in mapping.items()
    ):
        raise InputError(f"words {path} must have `{key}`, a mapping of class names to lists of phrases")
    return mapping


def _is_list(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(phrase, str) for phrase in value)

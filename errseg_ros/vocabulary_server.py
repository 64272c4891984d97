"""The vocabulary in force: one immutable object that is swapped between frames.

A change is encoded on the thread that asks for it, and never waits for a frame: the next frame takes what is
in force when it starts. What has to be told to the world first (`Labels`) is queued, and the thread that
publishes takes queue and terms in one step (`take`). So a mask never comes before the labels that describe it,
nor after labels that do not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from errseg_model import EncodedVocabulary, Vocabulary
from errseg_ros.class_ids import CAPACITIES, ClassIds, id_table


@dataclass(frozen=True)
class Labels:
    """What the ids of a mask mean."""

    vocabulary: Vocabulary
    ids: tuple[int, ...]
    """Of every class, in the vocabulary's order."""
    capacity: int
    """Number of ids of the mask's encoding, which is also the unlabelled id."""
    version: int
    """1 for the first vocabulary, then one more with every change."""
    source: str
    """Where the names came from."""
    threshold: float
    """Score below which a pixel is unlabelled, 0..1."""

    @cached_property
    def id_table(self) -> NDArray[np.generic]:
        """(65536,) id of every value of a result's mask: uint8 for mono8, uint16 for mono16."""
        return id_table(self.ids, self.capacity)


@dataclass(frozen=True)
class Terms:
    """Everything that can change at run time and that one frame is computed under."""

    labels: Labels
    encoded: EncodedVocabulary
    max_classes: int
    min_share: float


@dataclass(frozen=True)
class History:
    """What outlives a server: the ids ever given, and the labels last in force (None: none yet)."""

    ids: ClassIds
    labels: Labels | None

    @classmethod
    def first(cls, mask_encoding: str) -> History:
        """Of a node that starts."""
        return cls(ClassIds(CAPACITIES[mask_encoding]), None)


class VocabularyServer:
    """Holds the terms in force and changes them."""

    def __init__(
        self,
        encode: Callable[[Vocabulary], EncodedVocabulary],
        vocabulary: Vocabulary,
        *,
        history: History,
        source: str,
        max_classes: int,
        min_share: float,
        confidence_threshold: float,
    ) -> None:
        """Encode the first vocabulary: version 1, or where `history` goes on. Raises ClassIdsExhausted."""
        self._encode = encode
        self._ids = history.ids.extend(vocabulary)
        ids, capacity = self._ids.of(vocabulary), self._ids.capacity
        before = history.labels
        version = 1 if before is None else before.version + (vocabulary != before.vocabulary)
        labels = Labels(vocabulary, ids, capacity, version, source, confidence_threshold)
        self._terms = Terms(labels, encode(vocabulary), max_classes, min_share)
        self._unpublished = [labels]
        self._changing = threading.Lock()  # one change after the other
        self._swap = threading.Lock()  # held for assignments only

    @property
    def history(self) -> History:
        """For the server after this one."""
        with self._swap:
            return History(self._ids, self._terms.labels)

    def change(
        self,
        vocabulary: Vocabulary,
        *,
        source: str,
        max_classes: int,
        min_share: float,
        confidence_threshold: float,
    ) -> bool:
        """Put new terms in force, all at once. Returns whether there are new labels to be published.

        Raises ClassIdsExhausted, or what `encode` raises; then nothing has changed.
        """
        with self._changing:
            old, ids, encoded = self._terms, self._ids, self._terms.encoded
            labels = replace(old.labels, threshold=confidence_threshold)
            if vocabulary != labels.vocabulary:
                ids = ids.extend(vocabulary)
                encoded = self._encode(vocabulary)
                labels = replace(
                    labels,
                    vocabulary=vocabulary,
                    ids=ids.of(vocabulary),
                    version=labels.version + 1,
                    source=source,
                )
            with self._swap:
                self._ids = ids
                self._terms = Terms(labels, encoded, max_classes, min_share)
                if labels != old.labels:
                    self._unpublished.append(labels)
            return labels != old.labels

    def take(self) -> tuple[list[Labels], Terms]:
        """Labels to be published first, oldest first, each given once; and the terms for the next frame."""
        with self._swap:
            unpublished, self._unpublished = self._unpublished, []
            return unpublished, self._terms

    def give_back(self, unpublished: Sequence[Labels]) -> None:
        """Of what `take` gave last, the labels that could not be published: they come first again."""
        with self._swap:
            self._unpublished[:0] = unpublished

"""Class ids of the mask: stable as long as the node runs (public interface, "Ids are stable")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyError

# How many ids a mask encoding has; the one after the last means unlabelled.
CAPACITIES: Mapping[str, int] = MappingProxyType({"mono8": 255, "mono16": 65535})

_SHOWN_NAMES = 5


def smallest_encoding(vocabularies: Iterable[Vocabulary]) -> str:
    """The mask encoding that has an id for every name of all of them: mono8 where that will do, else mono16."""
    names = {entry.key for vocabulary in vocabularies for entry in vocabulary.entries}
    return "mono8" if len(names) <= CAPACITIES["mono8"] else "mono16"


def id_table(ids: Sequence[int], capacity: int) -> NDArray[np.generic]:
    """(65536,) id of every value of a result's mask: uint8 for mono8, uint16 for mono16."""
    dtype = np.uint8 if capacity == CAPACITIES["mono8"] else np.uint16
    table = np.full(UNLABELLED + 1, capacity, dtype)
    table[: len(ids)] = ids
    return table


def positions(mask: NDArray[np.integer], ids: Sequence[int]) -> NDArray[np.uint16]:
    """A mask of ids, (H, W), in positions of a vocabulary whose classes have `ids`; UNLABELLED where it has none.

    Raises InputError for an id that is neither one of them nor the unlabelled one of the mask's type.
    """
    unlabelled = int(np.iinfo(mask.dtype).max)
    strange = len(ids) + 1
    table = np.full(unlabelled + 1, strange, np.uint16)
    table[list(ids)] = np.arange(len(ids))
    table[unlabelled] = UNLABELLED
    found = np.asarray(table[mask], np.uint16)
    if (found == strange).any():
        others = sorted(set(np.unique(mask).tolist()) - {*ids, unlabelled})
        raise InputError(f"a mask has the ids {others}, which its label_info does not name")
    return found


class ClassIdsExhausted(VocabularyError):
    """A vocabulary brings more new names than there are free ids."""


@dataclass(frozen=True)
class ClassIds:
    """Which id each name ever used has: 0 to capacity - 1, given in order, never given again.

    A name is identified by its key (VocabularyEntry.key). The object never changes: `extend` plans and
    returns the next one, and keeping that one commits the plan.
    """

    capacity: int
    ids: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"capacity: expected 1 or more, got {self.capacity}")
        object.__setattr__(self, "ids", MappingProxyType(dict(self.ids)))

    @property
    def free(self) -> int:
        """How many ids no name has yet."""
        return self.capacity - len(self.ids)

    def extend(self, vocabulary: Vocabulary) -> ClassIds:
        """With an id for every name of the vocabulary: known names keep theirs, new ones get the next ones.

        Raises ClassIdsExhausted when there are not enough.
        """
        new = [entry for entry in vocabulary.entries if entry.key not in self.ids]
        if len(new) > self.free:
            names = ", ".join(repr(entry.name[:40]) for entry in new[:_SHOWN_NAMES])
            more = ", ..." if len(new) > _SHOWN_NAMES else ""
            raise ClassIdsExhausted(
                f"the vocabulary has {len(new)} new names ({names}{more}) and needs as many class ids, but "
                f"{self.free} of {self.capacity} are free, as a name keeps its id while the node runs; "
                f"{self._advice()}"
            )
        first = len(self.ids)
        return ClassIds(self.capacity, {**self.ids, **{entry.key: first + n for n, entry in enumerate(new)}})

    def of(self, vocabulary: Vocabulary) -> tuple[int, ...]:
        """The ids of the vocabulary's entries in order. Raises KeyError for a name that has no id yet."""
        return tuple(self.ids[entry.key] for entry in vocabulary.entries)

    def _advice(self) -> str:
        if self.capacity < CAPACITIES["mono16"]:
            return f"use mask_encoding mono16, which has {CAPACITIES['mono16']}"
        return "start it again to free the ids of names no longer used"

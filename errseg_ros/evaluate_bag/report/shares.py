"""How much of each frame each class covers, over all vocabularies of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errseg_ros.evaluate_bag.results import Evaluation


@dataclass(frozen=True)
class ClassShares:
    """Shares of pixels by frame and class."""

    names: tuple[str, ...]
    """Of all vocabularies, a class that several have once, in the order and spelling of the first that has it."""
    values: NDArray[np.float32]
    """(frames, classes) 0..1; nan where the vocabulary in force lacks the class."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> ClassShares:
        """The shares of an evaluation's frames."""
        names: list[str] = []
        by_key: dict[str, int] = {}
        columns: dict[str, int] = {}
        for period in evaluation.vocabularies:
            for entry in period.vocabulary.entries:
                if entry.key not in by_key:
                    by_key[entry.key] = len(names)
                    names.append(entry.name)
                columns[entry.name] = by_key[entry.key]
        values = np.full((len(evaluation.frames), len(names)), np.nan, np.float32)
        in_force = [[columns[name] for name in period.vocabulary.names] for period in evaluation.vocabularies]
        for row, frame in zip(values, evaluation.frames, strict=True):
            row[in_force[frame.vocabulary]] = 0.0
            for name, share in frame.shares.items():
                row[columns[name]] = share
        return cls(tuple(names), values)

    def means(self) -> NDArray[np.float64]:
        """(classes,) mean over all frames; a class counts as absent where the vocabulary lacks it."""
        if not len(self.values):
            return np.zeros(len(self.names))
        means: NDArray[np.float64] = np.nan_to_num(self.values, nan=0.0).mean(axis=0, dtype=np.float64)
        return means

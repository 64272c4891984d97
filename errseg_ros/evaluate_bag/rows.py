"""The rows of the table of frames, kept as numbers: a few hundred bytes a frame, however long a bag is."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errseg_model.vocabulary import Vocabulary
from errseg_ros.evaluate_bag.results import FrameResult

_WHOLE = ("index", "stamp_ns", "vocabulary", "pixels")
_REAL = (
    "seconds",
    "latency_ms",
    "confidence",
    "unlabelled",
    "flicker",
    "disagreement",
    "pixel_accuracy",
    "miou",
)
_OPTIONAL = ("flicker", "disagreement", "pixel_accuracy", "miou")
# Of every row only the classes that it has: how many, and of each its position and its pixels.
_PRESENT, _CLASSES, _COUNTS = "present", "classes", "counts"


@dataclass(frozen=True)
class Row:
    """What is measured of one image; `FrameResult` explains the fields."""

    index: int
    stamp_ns: int
    seconds: float
    vocabulary: int
    latency_ms: float
    confidence: float
    unlabelled: float
    counts: NDArray[np.int64]
    """(T,) pixels of every class."""
    pixels: int
    flicker: float | None
    disagreement: float | None
    pixel_accuracy: float | None
    miou: float | None


class Rows:
    """Rows of one bag, in the order of their images."""

    def __init__(self) -> None:
        self._columns: dict[str, array[Any]] = {name: array("q") for name in (*_WHOLE, _PRESENT, _COUNTS)}
        self._columns |= {name: array("d") for name in _REAL} | {_CLASSES: array("H")}

    def __len__(self) -> int:
        return len(self._columns["index"])

    def append(self, row: Row) -> None:
        """Add one."""
        for name in (*_WHOLE, *_REAL):
            value = getattr(row, name)
            self._columns[name].append(math.nan if value is None else value)
        present = np.flatnonzero(row.counts)
        self._columns[_PRESENT].append(len(present))
        self._columns[_CLASSES].extend(present.tolist())
        self._columns[_COUNTS].extend(row.counts[present].tolist())

    def column(self, name: str) -> NDArray[np.float64]:
        """A field of all rows; nan for None."""
        return np.array(self._columns[name], np.float64)

    def results(self, bag: str, vocabularies: Sequence[Vocabulary]) -> Iterator[FrameResult]:
        """The rows in full."""
        start = 0
        for place in range(len(self)):
            values = {name: self._columns[name][place] for name in (*_WHOLE, *_REAL)}
            names = vocabularies[int(values["vocabulary"])].names
            end = start + self._columns[_PRESENT][place]
            pixels = values.pop("pixels")
            present = zip(self._columns[_CLASSES][start:end], self._columns[_COUNTS][start:end], strict=True)
            shares = {names[position]: count / pixels for position, count in present}
            start = end
            optional = {name: None if math.isnan(values[name]) else values[name] for name in _OPTIONAL}
            yield FrameResult(bag=bag, shares=shares, **{**values, **optional})

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a file."""
        return {name: np.array(column) for name, column in self._columns.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Rows:
        """The rows that `to_arrays` gave."""
        rows = cls()
        for name, column in rows._columns.items():
            column.frombytes(arrays[name].tobytes())
        return rows

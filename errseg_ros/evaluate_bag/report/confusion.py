"""What the confusion matrix says of each class, and which classes are taken for one another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errseg_ros.evaluate_bag.results import Truth

MAX_SHOWN = 30
"""Classes in the picture of the matrix."""
MAX_PAIRS = 12
NONE_OF_THEM = "none of these"
OTHERS = "other classes"


@dataclass(frozen=True)
class ClassRow:
    """One class of the labels; shares 0..1, None where there is nothing to take a share of."""

    name: str
    iou: float | None
    recall: float | None
    """Of its labelled pixels, those that the masks call so."""
    precision: float | None
    """Of the pixels that the masks call so, those that are."""
    share: float
    """Of all labelled pixels."""


@dataclass(frozen=True)
class ConfusedPair:
    """Pixels of one class that the masks call another."""

    truth: str
    prediction: str
    share: float
    """Of the labelled pixels of `truth`."""
    share_of_all: float
    """Of all labelled pixels."""


@dataclass(frozen=True)
class ShownMatrix:
    """The part of the row-normalised confusion matrix that is drawn."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    """(rows, columns) share of the row's pixels; nan in rows without pixels."""
    hidden: int
    """Classes with pixels that are not drawn."""


def class_rows(truth: Truth) -> list[ClassRow]:
    """By IoU, the highest first; classes that neither labels nor masks have come last."""
    counts = truth.confusion.counts
    both = counts.diagonal()
    labelled, predicted = counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    total = max(int(labelled.sum()), 1)
    rows = [
        ClassRow(
            name,
            None if math.isnan(iou) else float(iou),
            _ratio(both[label], labelled[label]),
            _ratio(both[label], predicted[label]),
            float(labelled[label] / total),
        )
        for label, (name, iou) in enumerate(zip(truth.classes, truth.confusion.iou(), strict=True))
    ]
    return sorted(rows, key=lambda row: (row.iou is None, -(row.iou or 0.0)))


def confused_pairs(truth: Truth) -> list[ConfusedPair]:
    """The pairs that cost the most pixels, at most `MAX_PAIRS`, the worst first."""
    wrong = _wrong(truth)
    labelled = truth.confusion.counts.sum(axis=1)
    names = (*truth.classes, NONE_OF_THEM)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]
    return [
        ConfusedPair(
            truth.classes[row],
            names[column],
            float(wrong[row, column] / labelled[row]),
            float(wrong[row, column] / labelled.sum()),
        )
        for row, column in zip(*np.unravel_index(worst, wrong.shape), strict=True)
        if wrong[row, column] > 0
    ]


def shown_matrix(truth: Truth) -> ShownMatrix:
    """The classes with pixels, in the order of their ids; of more than `MAX_SHOWN` those that are confused most.

    Two columns may follow: predictions that are no class of the labels, and classes that are not drawn.
    """
    counts = truth.confusion.counts
    present = np.flatnonzero(counts.sum(axis=1) + counts[:, :-1].sum(axis=0))
    wrong = _wrong(truth)
    confused = wrong.sum(axis=1) + wrong[:, :-1].sum(axis=0)
    shown = np.sort(present[np.argsort(-confused[present], kind="stable")[:MAX_SHOWN]])
    hidden = np.setdiff1d(present, shown)
    names = [truth.classes[label] for label in shown]
    columns, parts = list(names), [counts[np.ix_(shown, shown)]]
    for title, part in (
        (OTHERS, counts[np.ix_(shown, hidden)].sum(axis=1)),
        (NONE_OF_THEM, counts[shown, -1]),
    ):
        if part.any():
            columns.append(title)
            parts.append(part[:, None])
    pixels = np.concatenate(parts, axis=1).astype(np.float64)
    total = pixels.sum(axis=1, keepdims=True)
    values = np.divide(pixels, total, out=np.full_like(pixels, np.nan), where=total > 0)
    return ShownMatrix(tuple(names), tuple(columns), values, len(hidden))


def _wrong(truth: Truth) -> NDArray[np.int64]:
    wrong = truth.confusion.counts.copy()
    np.fill_diagonal(wrong, 0)
    return wrong


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None

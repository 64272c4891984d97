"""Best class of every pixel on the CPU: most of an image is decided at the resolution of the logits.

A cell is the square between four neighbouring logits. The resized scores in it are means of those at its corners with
the same weights for every class, so a class that is the best at all four corners is the best in between. Only cells
whose corners differ, along the borders of things, are computed pixel by pixel, and there only for the classes that can
be the best.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.result import UNLABELLED

PIXELS_AT_A_TIME = 1 << 18
"""Pixels of cells that are computed at a time: 1 MB for each of a few arrays, so that a cache has them."""

Number = TypeVar("Number", np.uint16, np.float32)


def best_classes_in_cells(
    scores: NDArray[np.float32],
    positions: NDArray[np.int64],
    size: tuple[int, int],
    threshold: float,
    threads: int,
) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.float64]]:
    """Bilinear resize of K maps, best class; of equal scores the first class wins.

    Args:
        scores: (K, h, w) of the kept classes, 0..1. A pixel near one that is no number is unlabelled.
        positions: (K,) of the classes in the vocabulary.
        size: (H, W) of the image.
        threshold: 0..1; pixels below it are unlabelled.
        threads: parts of the image that are computed at a time, where it has many borders.

    Returns:
        mask (H, W), the position or UNLABELLED; confidence (H, W), the best score; means (K,), the mean score of each
        class over its own pixels, 0 where it has none.
    """
    height, width = size
    best, score = _best_of_logits(scores)
    # The nearest logit is one of the corners of the pixel's cell, and the cell is of one class or computed below.
    names = positions.astype(np.uint16)[best]
    mask = np.asarray(cv2.resize(names, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint16)
    confidence = np.asarray(cv2.resize(score, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    rows, columns = _Side.of(scores.shape[1], height), _Side.of(scores.shape[2], width)
    corner_best, corner_score = _corners(best), _corners(score)
    pure = (corner_best == corner_best[0]).all(0) & (corner_score.min(0) >= threshold)

    position_of = np.append(positions, UNLABELLED).astype(np.uint16)

    def compute(row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
        cells = _Cells.of(scores, corner_best, row, column)
        value, own = cells.best(rows, columns)
        own[~(value >= threshold)] = len(scores)
        y, x = rows.places[cells.row][:, :, None], columns.places[cells.column][:, None]
        confidence[y, x], mask[y, x] = value, position_of[own]
        own[~(rows.real[cells.row][:, :, None] & columns.real[cells.column][:, None])] = len(scores)
        flat, places = own.ravel(), len(scores) + 1
        sums, counts = np.bincount(flat, value.ravel(), places), np.bincount(flat, minlength=places)
        return np.array([sums[:-1], counts[:-1]], np.float64)

    seen = (rows.counts > 0)[:, None] & (columns.counts > 0)
    row, column = np.nonzero(~pure & seen)
    step = max(1, PIXELS_AT_A_TIME // (rows.places.shape[1] * columns.places.shape[1]))
    parts = [slice(first, first + step) for first in range(0, len(row), step)]
    sums = _sums_of_pure_cells(corner_best[0], corner_score, pure, (rows, columns), len(scores))
    with ThreadPoolExecutor(threads) as pool:
        sums += sum(pool.map(lambda part: compute(row[part], column[part]), parts))
    means: NDArray[np.float64] = sums[0] / np.maximum(sums[1], 1)
    return mask, confidence, means


@dataclass(frozen=True)
class _Side:
    """The pixels of each cell along one side of the image; the first and last cells reach beyond the logits."""

    places: NDArray[np.int64]
    """(cells, R) of the pixels; a cell with fewer than R names its last one again."""
    real: NDArray[np.bool_]
    """(cells, R), False for those named again."""
    weights: NDArray[np.float32]
    """(cells, R) of the cell's second corner."""

    @classmethod
    def of(cls, logits: int, pixels: int) -> _Side:
        at = (np.arange(pixels) + 0.5) * (logits / pixels) - 0.5
        cell = np.floor(at).astype(np.int64) + 1
        first, end = (np.searchsorted(cell, np.arange(logits + 1), side=side) for side in ("left", "right"))
        numbers = first[:, None] + np.arange((end - first).max())
        places = np.minimum(numbers, np.maximum(end - 1, 0)[:, None])
        return cls(places, numbers < end[:, None], (at + 1 - cell).astype(np.float32)[places])

    @property
    def counts(self) -> NDArray[np.int64]:
        """(cells,) pixels of each."""
        counts: NDArray[np.int64] = self.real.sum(1)
        return counts

    @property
    def shares(self) -> NDArray[np.float64]:
        """(2, cells) what the first and second corner weigh, summed over the cell's pixels."""
        second = np.where(self.real, self.weights, 0).sum(1, dtype=np.float64)
        return np.stack([self.counts - second, second])


@dataclass(frozen=True)
class _Cells:
    """Cells that are computed pixel by pixel, those with the most classes first."""

    row: NDArray[np.int64]
    """(N,)."""
    column: NDArray[np.int64]
    """(N,)."""
    scores: NDArray[np.float32]
    """(4, K, N) at the corners: upper left and right, lower left and right."""
    candidates: NDArray[np.bool_]
    """(K, N), classes that can be the best somewhere in the cell."""

    @classmethod
    def of(
        cls,
        scores: NDArray[np.float32],
        best: NDArray[np.uint16],
        row: NDArray[np.int64],
        column: NDArray[np.int64],
    ) -> _Cells:
        """The cells at `row` and `column` of (h + 1, w + 1), with `best` (4, h + 1, w + 1) classes at their corners.

        A class is no candidate where it is below the mean of the corners' best classes at every corner, as that mean
        stays below the best of them in between.
        """
        _, height, width = scores.shape
        sides = (np.maximum(row - 1, 0), np.minimum(row, height - 1))
        ends = (np.maximum(column - 1, 0), np.minimum(column, width - 1))
        at = np.stack([scores[:, y, x] for y in sides for x in ends])
        names = best[:, row, column].astype(np.int64)
        bound = np.take_along_axis(at, np.broadcast_to(names, (4, *names.shape)), axis=1).mean(1, keepdims=True)
        candidates = ~(at < bound).all(0)
        order = np.argsort(-candidates.sum(0), kind="stable")
        return cls(row[order], column[order], at[:, :, order], candidates[:, order])

    def best(self, rows: _Side, columns: _Side) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """The highest score of each pixel (N, R, R') and its class, 0..K-1."""
        shape = len(self.row), rows.places.shape[1], columns.places.shape[1]
        value, own = np.full(shape, -1, np.float32), np.zeros(shape, np.uint16)
        down, right = rows.weights[self.row], columns.weights[self.column][:, None]
        counts = self.candidates.sum(0)
        classes = np.nonzero(self.candidates.T)[1]
        first = counts.cumsum() - counts
        for number in range(int(counts.max(initial=0))):
            some = np.arange(np.count_nonzero(counts > number))
            name = classes[first[some] + number]
            upper_left, upper_right, lower_left, lower_right = self.scores[:, name, some, None]
            left = upper_left + (lower_left - upper_left) * down[some]
            score = (upper_right + (lower_right - upper_right) * down[some] - left)[:, :, None] * right[some]
            score += left[:, :, None]
            part = value[: len(some)]
            np.copyto(own[: len(some)], name.astype(np.uint16)[:, None, None], where=score > part)
            np.maximum(part, score, out=part)
        return value, own


def _best_of_logits(scores: NDArray[np.float32]) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """(h, w) the first of the best classes of each logit, and its score."""
    best, score = np.zeros(scores.shape[1:], np.uint16), scores[0].copy()
    for number, each in enumerate(scores):
        np.copyto(best, np.uint16(number), where=each > score)
        np.maximum(score, each, out=score)
    return best, score


def _corners(grid: NDArray[Number]) -> NDArray[Number]:
    """(4, h + 1, w + 1) corners of each cell of a grid (h, w), whose edge goes on beyond it."""
    wide = np.pad(grid, 1, mode="edge")
    return np.stack([wide[:-1, :-1], wide[:-1, 1:], wide[1:, :-1], wide[1:, 1:]])


def _sums_of_pure_cells(
    best: NDArray[np.uint16],
    score: NDArray[np.float32],
    pure: NDArray[np.bool_],
    sides: tuple[_Side, _Side],
    classes: int,
) -> NDArray[np.float64]:
    """(2, K) the scores of all pixels of pure cells, summed for each class, and their number."""
    rows, columns = sides
    weights = (rows.shares[:, None, :, None] * columns.shares[None, :, None]).reshape(score.shape)
    sums = (weights * score).sum(0)[pure]
    pixels = (rows.counts[:, None] * columns.counts)[pure].astype(np.float64)
    # Without any pure cell bincount counts in whole numbers, weights or not.
    return np.stack([np.bincount(best[pure], each, classes) for each in (sums, pixels)]).astype(np.float64)

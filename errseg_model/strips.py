"""Best class of every pixel on the CPU, in numpy, and in OpenCV, whose resize of one map is vectorised."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.result import UNLABELLED

STRIP_SCORES = 1 << 20
"""Scores of all classes that are resized at a time: 4 MB, so that they are compared while a cache has them."""

RANKS = 255
"""Classes that a byte tells apart, with 0 for none of them."""


def best_classes_in_strips(
    scores: NDArray[np.float32],
    positions: NDArray[np.int64],
    size: tuple[int, int],
    threshold: float,
    threads: int,
) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.float64]]:
    """Bilinear resize of K maps, best class; of equal scores the first class wins.

    The resized maps are never all there: strips of rows are computed, several at a time.

    Args:
        scores: (K, h, w) of the kept classes, 0..1. A pixel near one that is no number is unlabelled.
        positions: (K,) of the classes in the vocabulary.
        size: (H, W) of the image.
        threshold: 0..1; pixels below it are unlabelled.
        threads: strips that are computed at a time.

    Returns:
        mask (H, W), the position or UNLABELLED; confidence (H, W), the best score; means (K,), the mean score of each
        class over its own pixels, 0 where it has none.
    """
    height, width = size
    tall = [cv2.resize(each, (each.shape[1], height), interpolation=cv2.INTER_LINEAR) for each in scores]
    mask = np.empty(size, np.uint16)
    confidence = np.empty(size, np.float32)
    tables = _tables(positions)
    rows = min(-(-height // threads), max(1, STRIP_SCORES // (width * len(scores))))

    def compute(worker: int) -> NDArray[np.float64]:
        space = _Workspace(len(scores), rows, width)
        totals = np.zeros((2, len(scores)))
        for first in range(worker * rows, height, threads * rows):
            strip = slice(first, min(first + rows, height))
            totals += _strip([each[strip] for each in tall], tables, threshold, mask[strip], confidence[strip], space)
        return totals

    with ThreadPoolExecutor(threads) as pool:
        sums, pixels = np.sum([*pool.map(compute, range(threads))], axis=0)
    return mask, confidence, sums / np.maximum(pixels, 1)


class _Workspace:
    """What one strip after the other is computed in: fresh memory for each would cost more than the computation."""

    def __init__(self, classes: int, rows: int, width: int) -> None:
        self.wide = np.empty((classes, rows, width), np.float32)
        self.own = np.empty((rows, width), np.uint8)
        self.rank = np.empty((rows, width), np.uint8)


def _tables(positions: NDArray[np.int64]) -> list[NDArray[np.uint16]]:
    """For each RANKS classes what a rank stands for: the highest is the first class, 0 is none of them."""
    parts = [positions[first : first + RANKS] for first in range(0, len(positions), RANKS)]
    return [np.array([UNLABELLED, *part[::-1], *[UNLABELLED] * (RANKS - len(part))], np.uint16) for part in parts]


def _strip(
    maps: Sequence[NDArray[np.float32]],
    tables: Sequence[NDArray[np.uint16]],
    threshold: float,
    mask: NDArray[np.uint16],
    confidence: NDArray[np.float32],
    space: _Workspace,
) -> NDArray[np.float64]:
    """Fill a strip of mask and confidence; returns (2, K), the sum of the scores of each class and its pixels."""
    height, width = mask.shape
    wide, own, rank = space.wide[:, :height], space.own[:height], space.rank[:height]
    for each, score in zip(maps, wide, strict=True):
        cv2.resize(each, (width, height), dst=score, interpolation=cv2.INTER_LINEAR)
    np.copyto(confidence, wide[0])
    for score in wide[1:]:
        np.maximum(confidence, score, out=confidence)
    labelled = confidence >= threshold
    totals = []
    for number, table in enumerate(tables):
        part = wide[number * RANKS : (number + 1) * RANKS]
        rank.fill(0)
        for place, score in enumerate(part):
            np.equal(score, confidence, out=own.view(bool))
            np.multiply(own, np.uint8(len(part) - place), out=own)
            np.maximum(rank, own, out=rank)
        rank *= labelled
        np.copyto(mask, cv2.LUT(rank, table), where=True if number == 0 else rank > 0)
        totals.append(_totals(rank, confidence, len(part)))
        if number + 1 < len(tables):
            labelled &= rank == 0
    return np.concatenate(totals, axis=1)


def _totals(rank: NDArray[np.uint8], confidence: NDArray[np.float32], classes: int) -> NDArray[np.float64]:
    flat, places = rank.ravel(), classes + 1
    sums, pixels = np.bincount(flat, confidence.ravel(), places), np.bincount(flat, minlength=places)
    return np.array([sums[:0:-1], pixels[:0:-1]], np.float64)

"""The models of an evaluation, ready to segment."""

from __future__ import annotations

import time
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from errseg_model.evaluation.comparison import WARM_UP
from errseg_model.result import SegmentationResult
from errseg_model.segmenter import EncodedVocabulary, Segmenter
from errseg_ros.evaluate_bag.settings import Settings


class Models:
    """The evaluated model with its vocabularies, and the one it is compared with."""

    def __init__(self, settings: Settings) -> None:
        """Load and encode. Raises InputError."""
        self.segmenter = settings.model.load()
        self._threshold = settings.confidence_threshold
        self._since = [period.since for period in settings.periods]
        self._encoded = [self.segmenter.encode(period.vocabulary) for period in settings.periods]
        self._other: Segmenter | None = None
        self._others: list[EncodedVocabulary] = []
        comparison = settings.comparison
        if comparison is not None:
            self._other = self.segmenter if comparison.model == settings.model else comparison.model.load()
            words = comparison.vocabulary
            chosen = [p.vocabulary for p in settings.periods] if words is None else [words] * len(self._since)
            self._others = [self._other.encode(vocabulary) for vocabulary in chosen]
        self._warm = False
        self.seconds = 0.0
        """Spent in the models since they were loaded, warming up included."""

    def period(self, seconds: float) -> int:
        """Which vocabulary is in force so long after a bag's first image."""
        return max(bisect_right(self._since, seconds) - 1, 0)

    def segment(
        self, image: NDArray[np.uint8], period: int, before: NDArray[np.int64] | None
    ) -> tuple[SegmentationResult, float]:
        """The result, and how many milliseconds it took; `before` is `selected` of the image before, in this period."""
        if not self._warm:
            for _ in range(WARM_UP):
                self._timed(self.segmenter, image, self._encoded[period], before)
            self._warm = True
        return self._timed(self.segmenter, image, self._encoded[period], before)

    def segment_other(
        self, image: NDArray[np.uint8], period: int, before: NDArray[np.int64] | None
    ) -> SegmentationResult | None:
        """The result of the compared model; None without one."""
        return None if self._other is None else self._timed(self._other, image, self._others[period], before)[0]

    def _timed(
        self,
        segmenter: Segmenter,
        image: NDArray[np.uint8],
        encoded: EncodedVocabulary,
        before: NDArray[np.int64] | None,
    ) -> tuple[SegmentationResult, float]:
        started = time.perf_counter()
        result = segmenter.segment([image], encoded, confidence_threshold=self._threshold, previous=[before])[0]
        seconds = time.perf_counter() - started
        self.seconds += seconds
        return result, seconds * 1000

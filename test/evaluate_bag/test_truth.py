from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.truth import SECOND, TruthMatcher


def label(ros: Any, stamp_ns: int) -> Any:
    return ros.image(stamp_ns, np.zeros((2, 2), np.uint8), "mono8")


def found(
    ros: Any, labels: Iterable[tuple[float, float]], images: Iterable[float], tolerance: float
) -> list[float | None]:
    """Seconds of the label of each image; labels are (stamp, time of recording)."""
    start = ros.start
    messages = [("/labels", start + round(t * SECOND), label(ros, start + round(s * SECOND))) for s, t in labels]
    with BagReader(ros.bag(messages)) as reader:
        matcher = TruthMatcher(reader, "/labels", round(tolerance * SECOND))
        results = [matcher.find(start + round(seconds * SECOND)) for seconds in images]
    stamps = [m and m.header.stamp.sec * SECOND + m.header.stamp.nanosec - start for m in results]
    return [None if stamp is None else stamp / SECOND for stamp in stamps]


@pytest.mark.parametrize(
    ("labels", "images", "tolerance", "expected"),
    [
        ([0, 1, 2], [0, 1, 2], 0.001, [0, 1, 2]),
        ([0.0005, 1.002], [0, 1], 0.001, [0.0005, None]),
        ([0, 1, 2], [0.4, 0.6, 1.5], 0.5, [0, 1, 1]),  # the nearest, of two the earlier
        ([1], [0, 1, 2], 0.1, [None, 1, None]),
        ([], [0], 1.0, [None]),
        ([0, 10], [0, 1, 2, 9, 10], 0.1, [0, None, None, None, 10]),
        ([0, 0.2, 0.1, 0.3], [0, 0.1, 0.2, 0.3], 0.01, [0, 0.1, 0.2, 0.3]),  # recorded in another order
        ([0, 0.1, 0.2], [0.1, 0, 0.2], 0.01, [0.1, 0, 0.2]),
    ],
)
@pytest.mark.parametrize("delay", [0.0, 30.0, -0.5])
def test_label_is_the_nearest_by_stamp_whenever_it_was_recorded(
    ros: Any, labels: list[float], images: list[float], tolerance: float, expected: list[float | None], delay: float
) -> None:
    recorded = [(stamp, number * 0.1 + delay + 1) for number, stamp in enumerate(labels)]
    if not recorded:
        recorded = [(-100.0, 0.0)]
    assert found(ros, recorded, images, tolerance) == expected


def test_distance_of_the_nearest_label_is_told(ros: Any) -> None:
    path = ros.bag([("/labels", ros.start, label(ros, ros.start + SECOND))])
    with BagReader(path) as reader:
        matcher = TruthMatcher(reader, "/labels", 1000)
        assert matcher.nearest_ns is None
        assert matcher.find(ros.start) is None
        assert matcher.find(ros.start + SECOND // 2) is None
    assert matcher.nearest_ns == SECOND // 2


def test_few_labels_are_kept_however_many_there_are(ros: Any) -> None:
    messages = [("/labels", ros.start + n * SECOND // 10, label(ros, ros.start + n * SECOND // 10)) for n in range(500)]
    with BagReader(ros.bag(messages)) as reader:
        matcher = TruthMatcher(reader, "/labels", 1000)
        for number in range(0, 500, 5):
            assert matcher.find(ros.start + number * SECOND // 10) is not None
            assert len(matcher._window) < 30
        matcher = TruthMatcher(reader, "/labels", 1000)
        assert matcher.find(ros.start + 1000 * SECOND) is None  # a stamp from the future
        assert len(matcher._window) < 30

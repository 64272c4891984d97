from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.stamps import header_stamp
from errseg_ros.evaluate_bag.truth import TruthMatcher
from errseg_ros.ros_time import SECOND


def label(ros: Any, stamp_ns: int) -> Any:
    return ros.image(stamp_ns, np.zeros((2, 2), np.uint8), "mono8")


def found(
    ros: Any, labels: Iterable[tuple[float, float]], images: Iterable[tuple[float, float]], tolerance: float
) -> list[tuple[float, float] | None]:
    """The label of each image; both are (stamp, time of recording) in seconds."""
    start = ros.start
    moments = [(start + round(s * SECOND), start + round(t * SECOND)) for s, t in images]
    with BagReader(ros.bag([*of_topic(ros, "/labels", labels), *of_topic(ros, "/images", images)])) as reader:
        matcher = TruthMatcher(reader, "/images", "/labels", round(tolerance * SECOND))
        results = [matcher.find(number, *moment) for number, moment in enumerate(moments)]
    return [r and ((header_stamp(r.data) - start) / SECOND, (r.time_ns - start) / SECOND) for r in results]


def of_topic(ros: Any, topic: str, rows: Iterable[tuple[float, float]]) -> list[tuple[str, int, Any]]:
    """Messages of (stamp, time of recording) in seconds."""
    return [(topic, ros.start + round(t * SECOND), label(ros, ros.start + round(s * SECOND))) for s, t in rows]


def matcher_of(reader: BagReader) -> TruthMatcher:
    return TruthMatcher(reader, "/images", "/labels", 1000)


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
    labels_found = found(ros, recorded, [(stamp, stamp) for stamp in images], tolerance)
    assert [label and label[0] for label in labels_found] == expected


DRIVE = [(n / 10, n / 10) for n in range(30)]
THREE = [(stamp, start + time) for start in (0.0, 4.0, 8.0) for stamp, time in DRIVE]

LATE = [(stamp, round(time + 0.3, 3)) for stamp, time in THREE]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (THREE, THREE),
        (LATE, LATE),
        (DRIVE, DRIVE * 3),  # labelled only once: what is there
    ],
)
def test_a_drive_that_is_played_again_has_the_labels_of_its_own_pass(
    ros: Any, labels: list[tuple[float, float]], expected: list[tuple[float, float] | None]
) -> None:
    assert found(ros, labels, THREE, 0.001) == expected


def test_in_another_pass_the_nearest_stamp_does_not_count(ros: Any) -> None:
    labels = [(0.0, 0.0), (2.0, 2.0), (0.02, 3.0), (2.02, 5.0)]
    assert found(ros, labels, [(2.0, 2.0), (0.0, 3.0), (2.0, 5.0)], 0.1) == [labels[1], labels[2], labels[3]]


@pytest.mark.parametrize("further", [[], [(2.5, 90.0)]], ids=["as many passes", "one without labels"])
def test_a_pass_whose_labels_lie_beside_its_images_has_none_of_another(
    ros: Any, further: list[tuple[float, float]]
) -> None:
    """A simulator was reset after a minute, and its labels came in another phase then."""
    labels = [(n + 0.5, n + 0.5) for n in range(5)] + [(float(n), 60.0 + n) for n in range(5)]
    images = [(2.5, 2.5), (0.5, 60.5), (2.5, 62.5), (3.0, 63.0)]
    assert found(ros, labels, [*images, *further], 0.05)[:4] == [labels[2], None, None, labels[8]]


@pytest.mark.parametrize("lag", [0.0, 1.0, 2.0, 4.0, 7.0, 20.0])
def test_labels_that_come_later_are_of_the_pass_that_they_are_of(ros: Any, lag: float) -> None:
    """As those of an offline labeller, which may be recorded beside the next pass, or after all of them."""
    labels = [(stamp, round(time + lag, 3)) for stamp, time in THREE]
    assert found(ros, labels, THREE, 0.001) == labels


@pytest.mark.parametrize("images", [range(5), [0, 1, 2, 3, 4] * 3], ids=["one pass", "three passes"])
def test_labels_that_time_does_not_tell_apart_are_none(ros: Any, images: Iterable[int]) -> None:
    """As of a bag that was converted without its times."""
    labels = of_topic(ros, "/labels", [(n % 5, 0.0) for n in range(10)])
    with BagReader(ros.bag([*labels, *of_topic(ros, "/images", [(n, 0.0) for n in images])])) as reader:
        matcher = matcher_of(reader)
        for number, stamp in enumerate(images):
            assert matcher.find(number, ros.start + stamp * SECOND, ros.start) is None
            assert matcher.unclear


DELAYS = np.random.default_rng(0).uniform(0, 1, 200)


@pytest.mark.parametrize(
    ("stray", "delays"),
    [
        (None, 0.2 + 2 * DELAYS),  # of several workers: in no order
        (None, 2 + 4 * DELAYS),
        (None, 0.2 + 30 * DELAYS),  # and of very different speed
        (None, np.full(200, 300.0)),
        (-1e6, np.full(200, 20.0)),  # a stamp from before the simulator's clock
        (1e6, np.full(200, 0.3)),
        (1e6, np.full(200, 20.0)),
    ],
)
def test_a_label_whose_stamp_is_unique_is_found_whatever_the_others_are(
    ros: Any, stray: float | None, delays: Any
) -> None:
    labels = [(n / 10, n / 10 + float(delay)) for n, delay in enumerate(delays)]
    if stray is not None:
        labels.insert(100, (stray, labels[100][1] - 0.01))
    images = [(n / 10, n / 10) for n in range(200)]
    stamps = [one and one[0] for one in found(ros, labels, images, 0.001)]
    assert stamps == [stamp for stamp, _ in images]


def test_one_label_without_a_stamp_is_none_of_any_image_and_loses_no_other(ros: Any) -> None:
    stamps = [n * SECOND // 10 for n in range(1, 40)]  # as of a simulator
    messages = [("/labels", ros.start + stamp, label(ros, 0 if n == 5 else stamp)) for n, stamp in enumerate(stamps)]
    messages += [("/images", ros.start + stamp, label(ros, stamp)) for stamp in stamps]
    with BagReader(ros.bag(messages)) as reader:
        matcher = matcher_of(reader)
        labelled = [matcher.find(n, stamp, ros.start + stamp) is not None for n, stamp in enumerate(stamps)]
    assert labelled == [n != 5 for n in range(39)]


def test_labels_of_a_topic_without_stamps_have_the_time_of_their_recording(ros: Any) -> None:
    messages = [(topic, ros.start + n * SECOND, label(ros, 0)) for n in range(3) for topic in ("/labels", "/images")]
    with BagReader(ros.bag(messages)) as reader:
        matcher = matcher_of(reader)
        recorded = matcher.find(1, ros.start + SECOND, ros.start)
        assert recorded is not None and recorded.time_ns == ros.start + SECOND


def test_distance_of_the_nearest_label_is_told(ros: Any) -> None:
    messages = [*of_topic(ros, "/labels", [(1.0, 0.0)]), *of_topic(ros, "/images", [(3.0, 0.0), (4.0, 0.1)])]
    with BagReader(ros.bag(messages)) as reader:
        matcher = matcher_of(reader)
        assert matcher.nearest_ns is None
        assert matcher.find(0, ros.start + 3 * SECOND, ros.start) is None
        assert matcher.nearest_ns == 2 * SECOND
        assert matcher.find(1, ros.start, ros.start) is None
        assert matcher.find(1, ros.start + SECOND // 2, ros.start) is None
    assert matcher.nearest_ns == SECOND // 2


def test_few_labels_are_kept_however_many_there_are(ros: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errseg_ros.evaluate_bag.truth._KEPT_BYTES", 1000)  # some fifteen labels
    rows = [(n / 10, n / 10) for n in range(500)]
    with BagReader(ros.bag([*of_topic(ros, "/labels", rows), *of_topic(ros, "/images", rows)])) as reader:
        opened = []
        of_reader = reader.messages
        monkeypatch.setattr(reader, "messages", lambda topics: opened.append(topics) or of_reader(topics))
        matcher = matcher_of(reader)
        for number in (n + back for n in range(10, 500, 5) for back in (0, -5)):  # stamps run back a little
            stamp = ros.start + number * SECOND // 10
            assert matcher.find(number, stamp, stamp) is not None
            assert 2 < len(matcher._kept) < 30
        assert matcher.find(499, ros.start + 1000 * SECOND, ros.start) is None  # a stamp from the future
        assert len(opened) == 3  # for the stamps of both, and once for the labels
        assert matcher.find(0, ros.start, ros.start) is not None  # and one from long ago

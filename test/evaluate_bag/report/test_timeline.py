from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from errseg_ros.evaluate_bag.report.timeline import MAX_CHANGES, MAX_POINTS, Timeline
from errseg_ros.evaluate_bag.results import Evaluation, FrameResult

Make = Callable[..., Evaluation]


def with_latencies(evaluation: Evaluation, latency: Callable[[FrameResult], float]) -> Evaluation:
    frames = tuple(dataclasses.replace(frame, latency_ms=latency(frame)) for frame in evaluation.frames)
    return dataclasses.replace(evaluation, frames=frames)


def test_bags_stand_one_after_the_other(make_evaluation: Make) -> None:
    timeline = Timeline(make_evaluation(bags=("a", "b"), frames=3))
    assert [stretch.bag for stretch in timeline.stretches] == ["a", "b"]
    first, second = timeline.stretches
    assert (first.start, first.end) == pytest.approx((0.0, 0.2))
    assert second.start > first.end
    assert second.end - second.start == pytest.approx(0.2)
    assert (np.diff(timeline.x) > 0).all()
    line = timeline.series(lambda frame: frame.latency_ms).mean
    assert np.flatnonzero(np.isnan(line)).tolist() == [3, 7]  # no line leads from bag to bag


def test_a_long_drive_is_thinned_out(make_evaluation: Make) -> None:
    evaluation = with_latencies(make_evaluation(frames=1203), lambda frame: float(frame.index))
    timeline = Timeline(evaluation)
    assert timeline.frames_per_point == 3
    assert len(timeline.x) <= MAX_POINTS + 1
    series = timeline.series(lambda frame: frame.latency_ms)
    assert (series.low[0], series.mean[0], series.high[0]) == (0.0, 1.0, 2.0)
    assert (series.low[-2], series.mean[-2], series.high[-2]) == (1200.0, 1201.0, 1202.0)


def test_what_was_not_measured_is_no_point(make_evaluation: Make) -> None:
    timeline = Timeline(make_evaluation(frames=3))
    flicker = timeline.series(lambda frame: frame.flicker)
    assert np.isnan(flicker.mean[0]) and not np.isnan(flicker.mean[1:3]).any()
    assert flicker.measured
    assert not timeline.series(lambda frame: frame.disagreement).measured


def test_a_point_that_no_line_goes_through_is_lone(make_evaluation: Make) -> None:
    """As where one image in three has a label."""
    evaluation = make_evaluation(frames=9)
    frames = tuple(
        dataclasses.replace(frame, miou=frame.miou if n % 3 == 0 or n == 1 else None)
        for n, frame in enumerate(evaluation.frames)
    )
    series = Timeline(dataclasses.replace(evaluation, frames=frames)).series(lambda frame: frame.miou)
    assert np.flatnonzero(series.lone).tolist() == [3, 6]
    assert not Timeline(evaluation).series(lambda frame: frame.miou).lone.any()


def test_changes_are_where_the_next_vocabulary_is_first_used(make_evaluation: Make) -> None:
    timeline = Timeline(make_evaluation(bags=("a", "b"), frames=6, changes_at=0.25))
    assert [change.vocabulary for change in timeline.changes] == [1, 1]
    assert timeline.changes[0].at == pytest.approx(0.3)
    assert timeline.changes[1].at == pytest.approx(timeline.stretches[1].start + 0.3)


def test_changes_that_would_cover_everything_are_not_marked(make_evaluation: Make) -> None:
    evaluation = make_evaluation(bags=[f"bag {n}" for n in range(MAX_CHANGES + 1)], frames=2, changes_at=0.1)
    assert Timeline(evaluation).changes == [] and Timeline(evaluation).changed


def test_a_vocabulary_that_no_image_is_as_late_as_is_no_change(make_evaluation: Make) -> None:
    assert not Timeline(make_evaluation(frames=2, changes_at=5.0)).changed


@pytest.mark.parametrize(
    ("factor", "unit", "length"), [(1, "seconds", 0.9), (600, "minutes", 9.0), (36000, "hours", 9.0)]
)
def test_the_axis_has_a_fitting_unit(make_evaluation: Make, factor: float, unit: str, length: float) -> None:
    evaluation = make_evaluation(frames=10)
    frames = tuple(dataclasses.replace(frame, seconds=frame.seconds * factor) for frame in evaluation.frames)
    timeline = Timeline(dataclasses.replace(evaluation, frames=frames))
    assert (timeline.unit, timeline.length) == (unit, pytest.approx(length))


def test_bags_of_one_frame_have_a_width(make_evaluation: Make) -> None:
    timeline = Timeline(make_evaluation(bags=("a", "b"), frames=1))
    assert (np.diff(timeline.x) > 0).all()
    assert [stretch.end > stretch.start for stretch in timeline.stretches] == [True, True]
    means = timeline.means(np.array([[1.0], [3.0]], np.float32))[:, 0]
    assert means[[0, 1, 3, 4]].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert np.isnan(means[[2, 5]]).all()


def test_no_frames(make_evaluation: Make) -> None:
    timeline = Timeline(make_evaluation(frames=0))
    assert len(timeline.x) == 0 and timeline.length == 0.0

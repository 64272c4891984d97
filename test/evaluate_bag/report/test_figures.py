from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_ros.evaluate_bag.main import _in_short
from errseg_ros.evaluate_bag.report.figures import Figures, bag_mious
from errseg_ros.evaluate_bag.report.shares import ClassShares
from errseg_ros.evaluate_bag.results import Evaluation, LiveTraffic

Make = Callable[..., Evaluation]


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """report.json as a strict parser reads it."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    content = Figures.of(evaluation, ClassShares.of(evaluation)).to_json(evaluation)
    return dict(json.loads(json.dumps(content), parse_constant=refuse))


def test_figures_equal_those_of_the_confusion_matrix(make_evaluation: Make) -> None:
    evaluation = make_evaluation()
    assert evaluation.truth is not None
    confusion, report = evaluation.truth.confusion, to_json(evaluation)
    assert report["miou"] == confusion.miou()
    assert report["miou_of_labelled_classes"] == confusion.miou_of_truth()
    assert report["pixel_accuracy"] == confusion.pixel_accuracy()
    assert report["iou"] == dict(zip(evaluation.truth.classes, confusion.iou().tolist(), strict=True))
    assert report["frames"] == len(evaluation.frames)


def test_latency_and_rate(make_evaluation: Make) -> None:
    evaluation = make_evaluation(frames=4)
    frames = tuple(
        dataclasses.replace(f, latency_ms=x) for f, x in zip(evaluation.frames, (10.0, 20.0, 30.0, 40.0), strict=True)
    )
    report = to_json(dataclasses.replace(evaluation, frames=frames))
    assert report["latency_ms"] == pytest.approx({"p50": 25.0, "p90": 37.0, "p99": 39.7})
    assert report["frames_per_second"] == pytest.approx(4 / evaluation.wall_seconds)


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ({"wall_seconds": 12.0, "loop_seconds": 10.0}, 8 / 10),
        ({"wall_seconds": 12.0}, 8 / 12),
        ({"wall_seconds": 12.0, "loop_seconds": 100.0, "side_by_side": True}, 8 / 12),
        # Some masks came again, as of a bag that is looped, and were not evaluated.
        ({"wall_seconds": 12.0, "loop_seconds": 10.0, "live": LiveTraffic(25, 24, 1, 4.0)}, 24 / 4),
    ],
)
def test_the_rate_is_by_the_time_that_it_took(
    make_evaluation: Make, tmp_path: Path, times: dict[str, Any], rate: float
) -> None:
    evaluation = dataclasses.replace(make_evaluation(frames=8), **times)
    assert to_json(evaluation)["frames_per_second"] == pytest.approx(rate)
    assert f"{rate:.2f} images a second" in _in_short(evaluation, tmp_path)


def test_a_mean_is_over_the_frames_that_have_the_figure(make_evaluation: Make) -> None:
    evaluation = make_evaluation(frames=3)
    first, second, third = evaluation.frames
    frames = (
        dataclasses.replace(first, confidence=0.0, unlabelled=1.0, flicker=None, miou=None),
        dataclasses.replace(second, confidence=0.5, flicker=0.1, miou=0.2),
        dataclasses.replace(third, confidence=0.7, flicker=0.3, miou=0.6),
    )
    report = to_json(dataclasses.replace(evaluation, frames=frames))
    assert report["confidence"] == pytest.approx(0.6)
    assert report["flicker"] == pytest.approx(0.2)
    assert report["mean_frame_miou"] == pytest.approx(0.4)
    assert report["disagreement"] is None


def test_a_class_without_pixels_is_null(make_evaluation: Make) -> None:
    evaluation = make_evaluation()
    assert evaluation.truth is not None
    confusion = ConfusionMatrix(6)
    confusion.update(np.array([0, 1]), np.array([0, 0]))
    truth = dataclasses.replace(evaluation.truth, confusion=confusion)
    report = to_json(dataclasses.replace(evaluation, truth=truth))
    assert report["iou"] == {"sky": 0.5, "building": 0.0, "road": None, "car": None, "pole": None, "person": None}


@pytest.mark.parametrize("frames", [0, 3])
def test_without_labels_what_needs_them_is_null(make_evaluation: Make, frames: int) -> None:
    report = to_json(make_evaluation(labelled=False, frames=frames))
    for key in ("miou", "pixel_accuracy", "iou", "mean_frame_miou", "classes_missing_in_vocabulary"):
        assert report[key] is None
    assert (report["latency_ms"]["p50"] is None) == (frames == 0)


def test_labels_without_a_counted_pixel_give_no_nan(make_evaluation: Make) -> None:
    report = to_json(make_evaluation(frames=0))
    assert report["miou"] is None and report["pixel_accuracy"] is None
    assert set(report["iou"].values()) == {None}


def test_everything_that_is_to_be_told_is_told(troubled: Evaluation) -> None:
    report = to_json(troubled)
    assert report["interrupted"] is True
    assert report["live"] == {"published": 20, "answered": 16, "dropped": 4, "seconds": 1.6}
    assert report["frames_per_second"] == pytest.approx(16 / 1.6)
    assert report["problems"][0].startswith("<img src=x onerror=alert(1)>: bag.mcap ends")
    assert report["classes_missing_in_labels"] == ["dragon"]
    assert len(report["classes_missing_in_vocabulary"]) == 30
    assert [v["since"] for v in report["vocabularies"]] == [0.0, 0.4]
    assert report["vocabularies"][1]["entries"][0] == "<script>alert('class')</script>, heavens"
    assert report["bags"][1]["labelled"] == 6
    assert report["notes"] == list(troubled.notes)


def test_a_bag_has_the_mean_of_its_own_frames(make_evaluation: Make) -> None:
    evaluation = make_evaluation(bags=("a", "b"), frames=2)
    frames = tuple(
        dataclasses.replace(frame, miou=miou)
        for frame, miou in zip(evaluation.frames, (0.2, 0.4, 0.8, None), strict=True)
    )
    assert bag_mious(dataclasses.replace(evaluation, frames=frames)) == pytest.approx({"a": 0.3, "b": 0.8})


def test_shares_of_a_class_that_comes_and_goes(make_evaluation: Make) -> None:
    evaluation = make_evaluation(frames=4, changes_at=0.2)
    frames = (*evaluation.frames[:3], dataclasses.replace(evaluation.frames[3], shares={"dragon": 0.5}))
    shares = ClassShares.of(dataclasses.replace(evaluation, frames=frames))
    assert shares.names[-1] == "dragon"
    assert np.isnan(shares.values[:2, -1]).all()  # the vocabulary in force lacks it
    assert shares.values[2:, -1].tolist() == [0.0, 0.5]
    assert shares.values[3, :-1].tolist() == [0.0] * 6
    assert shares.means()[-1] == pytest.approx(0.125)

"""Figures beyond mIoU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from errseg_model import Segmenter, Vocabulary
from errseg_model.datasets import create_dataset
from errseg_model.evaluation.accuracy import crowded, measure, measure_confidence
from errseg_model.evaluation.comparison import WARM_UP


def test_void_pixels_count_nowhere(random_lite: Segmenter, tiny_camvid: Path) -> None:
    dataset = create_dataset("camvid", tiny_camvid, "val")
    accuracy = measure(random_lite, dataset, dataset.vocabulary)
    assert accuracy.reliability.pixels.sum() == accuracy.confusion.counts.sum() == 3 * 36 * 46
    assert accuracy.reliability.right.sum() == accuracy.confusion.counts.diagonal().sum()
    assert accuracy.hit_rate == 1  # 11 classes, all kept


def test_the_clock_counts_no_image_of_the_warm_up(
    random_lite: Segmenter, tiny_camvid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first image takes longer than all others."""
    dataset, segment, images = create_dataset("camvid", tiny_camvid, "val"), random_lite.segment, []

    def noted(batch: Any, *arguments: Any) -> Any:
        images.append(batch[0])
        return segment(batch, *arguments)

    monkeypatch.setattr(random_lite, "segment", noted)
    assert len(measure(random_lite, dataset, dataset.vocabulary).latency_ms) == 3
    assert len(images) == WARM_UP + 3 and all((image == dataset[0].image).all() for image in images[:WARM_UP])


def test_one_label_for_each_name(random_lite: Segmenter, tiny_camvid: Path) -> None:
    dataset = create_dataset("camvid", tiny_camvid, "val")
    with pytest.raises(ValueError, match="11"):
        measure(random_lite, dataset, dataset.vocabulary, [0] * 9)


def test_names_beyond_the_classes_are_none_of_them(random_lite: Segmenter, tiny_camvid: Path) -> None:
    dataset = create_dataset("camvid", tiny_camvid, "val")
    more = Vocabulary.parse([*dataset.classes, *(f"thing {number}" for number in range(60))])
    accuracy = measure(random_lite, dataset, more)
    assert accuracy.confusion.counts.shape == (11, 12) and accuracy.confusion.counts.sum() == 3 * 36 * 46


def test_several_names_may_count_as_one_class(random_lite: Segmenter, tiny_camvid: Path) -> None:
    dataset = create_dataset("camvid", tiny_camvid, "val")
    alone = measure(random_lite, dataset, dataset.vocabulary)
    twice = Vocabulary.parse([*dataset.classes, *(f"{name} again" for name in dataset.classes)])
    accuracy = measure(random_lite, dataset, twice, [*range(11), *range(11)])
    assert accuracy.confusion.counts.sum() == alone.confusion.counts.sum() and accuracy.hit_rate == 1
    assert accuracy.confusion.counts[:, 11].sum() == 0  # no name is none of the classes
    assert accuracy.kept.tolist() == [22] * 3 and alone.kept.tolist() == [11] * 3
    one = measure(random_lite, dataset, twice, [0] * 22)
    assert one.confusion.counts[:, 0].sum() == one.confusion.counts.sum() and one.hit_rate == 0


def test_an_image_whose_classes_were_dropped_is_not_complete(
    random_lite: Segmenter, tiny_camvid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random_lite, "config", dataclasses.replace(random_lite.config, max_classes=1))
    dataset = create_dataset("camvid", tiny_camvid, "val")
    assert measure(random_lite, dataset, dataset.vocabulary).hit_rate == 0  # each picture has sky and road


def test_pixels_for_calibration_are_labelled_ones(random_lite: Segmenter, tiny_camvid: Path) -> None:
    dataset = create_dataset("camvid", tiny_camvid, "val")
    confidence = measure_confidence(random_lite, dataset)
    assert confidence.logits.shape == confidence.right.shape == (3 * 36 * 46,)
    measured = measure(random_lite, dataset, dataset.vocabulary).reliability
    assert confidence.reliability.expected_error() == measured.expected_error()


def test_a_crowd_has_the_classes_first_and_no_name_twice() -> None:
    classes, others = Vocabulary.parse(["road", "sky"]), Vocabulary.parse(["Road", "wall", "lamp", "cup"])
    crowd = crowded(classes, [others, Vocabulary.parse(["lamp", "cat"])], ["Wall"], 5)
    assert crowd.names == ("road", "sky", "lamp", "cup", "cat")
    with pytest.raises(ValueError, match="only 5 names, expected 6"):
        crowded(classes, [others, Vocabulary.parse(["lamp", "cat"])], ["wall"], 6)

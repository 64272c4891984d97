from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model import InputError, Segmenter, Vocabulary
from errseg_model.datasets import create_dataset
from errseg_model.datasets.camvid import CLASSES
from errseg_model.evaluation.evaluate import evaluate
from errseg_model.result import UNLABELLED


def test_figures_equal_those_counted_by_hand(random_lite: Segmenter, tiny_camvid: Path) -> None:
    dataset = create_dataset("camvid", tiny_camvid)
    encoded = random_lite.encode(Vocabulary.parse(CLASSES))
    truths = np.stack([sample.labels for sample in dataset])
    masks = np.stack([random_lite.segment([sample.image], encoded)[0].mask for sample in dataset])
    counted = truths != 11
    figures = evaluate(random_lite, dataset).to_json()
    assert figures["pixel_accuracy"] == pytest.approx((masks == truths)[counted].mean())
    for label, name in enumerate(CLASSES):
        both = ((masks == label) & (truths == label)).sum()
        either = (((masks == label) | (truths == label)) & counted).sum()
        assert figures["iou"][name] == (pytest.approx(both / either) if either else None)
    known = [value for value in figures["iou"].values() if value is not None]
    assert figures["miou"] == pytest.approx(np.mean(known))
    assert figures["frames"] == 3 and list(figures["latency_ms"]) == ["p50", "p90", "p99"]


def test_classes_are_matched_by_name_and_the_rest_is_listed(random_lite: Segmenter, tiny_camvid: Path) -> None:
    vocabulary = Vocabulary.parse(["moon", " Road", "sky, heavens"])
    figures = evaluate(random_lite, create_dataset("camvid", tiny_camvid), vocabulary).to_json()
    assert figures["classes_missing_in_dataset"] == ["moon"]
    assert "car" in figures["classes_missing_in_vocabulary"] and len(figures["classes_missing_in_vocabulary"]) == 9
    assert figures["iou"]["road"] is not None and figures["iou"]["car"] is None


def test_nothing_in_common(random_lite: Segmenter, tiny_camvid: Path) -> None:
    with pytest.raises(InputError, match="none of the data set's classes, which are sky, .*bicyclist$"):
        evaluate(random_lite, create_dataset("camvid", tiny_camvid), Vocabulary.parse(["moon"]))


def test_pixels_without_a_class_count_as_wrong(
    random_lite: Segmenter, tiny_camvid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those whose logits are nan are."""
    segment = random_lite.segment

    def unlabelled(*arguments: Any) -> list[Any]:
        return [dataclasses.replace(r, mask=np.full_like(r.mask, UNLABELLED)) for r in segment(*arguments)]

    monkeypatch.setattr(random_lite, "segment", unlabelled)
    confusion = evaluate(random_lite, create_dataset("camvid", tiny_camvid, "val")).confusion
    assert confusion.counts[:, -1].sum() == confusion.counts.sum() > 0

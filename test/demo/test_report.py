from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from errseg_model.vocabulary import Vocabulary
from errseg_ros.demo.frames import Source
from errseg_ros.demo.pictures import answered
from errseg_ros.demo.recording import Recording
from errseg_ros.demo.report import Report, Tally

MakeSource = Callable[..., Source]
BEFORE = Vocabulary.from_argument("sky; road")
AFTER = Vocabulary.from_argument("street; sky; dragon")


def make_report(source: Source, recording: Recording, out: Path) -> Report:
    tallies = {words: Tally(source, words) for words in (BEFORE, AFTER)}
    for frame, given in answered(source, recording):
        tallies[given.vocabulary].add(frame, given)
    before, after = (
        tallies[words].side(version, ids)
        for words, version, ids in zip((BEFORE, AFTER), recording.versions, recording.ids, strict=True)
    )
    return Report(source, recording, before, after, out)


def test_figures(make_source: MakeSource, recording: Recording, tmp_path: Path) -> None:
    figures = json.loads(json.dumps(make_report(make_source(), recording, tmp_path).to_json()))
    assert (figures["frames_in"], figures["frames_out"]) == (5, 4)
    assert figures["latency_ms"]["p50"] == 100.0
    assert 200 < figures["latency_ms"]["p90"] <= 300
    assert figures["vocabulary_change"] == {"reply_ms": 12.3, "first_mask_ms": 250.0}
    assert figures["rate_in_hz"] == 10.0
    assert figures["rate_out_hz"] == 6.0
    before, after = figures["before"], figures["after"]
    # First mask right, second all sky: sky 2 of 3 halves, road 1 of 2.
    assert before["iou"] == pytest.approx({"sky": 2 / 3, "road": 1 / 2})
    assert before["miou"] == pytest.approx(7 / 12)
    assert before["pixel_accuracy"] == pytest.approx(3 / 4)
    # "street" is road; the unlabelled half of the second mask is a miss.
    assert after["iou"] == pytest.approx({"sky": 1 / 2, "road": 1.0})
    assert (after["database_version"], after["class_ids"], after["frames"]) == (2, [2, 0, 3], 2)
    assert [mask["frame"] for mask in figures["masks"]] == [0, 2, 3, 3]
    assert [mask["database_version"] for mask in figures["masks"]] == [1, 1, 2, 2]


def test_text(make_source: MakeSource, recording: Recording, tmp_path: Path) -> None:
    text = make_report(make_source(), recording, tmp_path).to_text()
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "1 passed over" in text
    assert lines["mIoU"].split()[1:3] == ["58.3%", "75.0%"]
    assert lines["version"].split() == ["version", "1", "2"]
    assert lines["before"].endswith("sky, road")
    assert lines["after"].endswith("street, sky, dragon")
    assert str(tmp_path) in lines["pictures"]
    assert max(map(len, lines.values())) <= 100 + len(str(tmp_path))


def test_without_labels_nothing_is_measured(make_source: MakeSource, recording: Recording, tmp_path: Path) -> None:
    report = make_report(make_source(label_names=()), recording, tmp_path)
    assert "mIoU" not in report.to_text()
    assert not {"miou", "iou", "pixel_accuracy"} & report.to_json()["before"].keys()


def test_vocabulary_without_one_label_is_not_measured(
    make_source: MakeSource, recording: Recording, tmp_path: Path
) -> None:
    report = make_report(make_source(label_names=("sky", "road", "lion")), recording, tmp_path)
    assert "mIoU" not in report.to_text()


def test_long_vocabulary_is_broken_between_names(make_source: MakeSource, recording: Recording, tmp_path: Path) -> None:
    report = make_report(make_source(), recording, tmp_path)
    names = [f"class number {number}" for number in range(30)]
    side = dataclasses.replace(report.after, vocabulary=Vocabulary.parse(names))
    lines = dataclasses.replace(report, after=side).to_text().splitlines()
    listed = [line for line in lines if "class number" in line]
    assert len(listed) > 1
    assert all(len(line) <= 100 for line in listed)
    assert all(line.strip().removeprefix("after").strip().startswith("class number") for line in listed)

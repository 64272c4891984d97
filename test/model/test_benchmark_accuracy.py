"""`make benchmark-accuracy`, on a data set of three pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from errseg_model.benchmark_accuracy import WORDS, main


def test_every_vocabulary_is_measured_and_the_sealed_words_only_when_asked(
    tiny_camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    small = ["--root", str(tiny_camvid), "--split", "val", "--input-size", "32x64", "--max-classes", "20"]
    opened = [f"opened {number + 1} words" for number in range(len(list(WORDS.glob("camvid_opened_*"))))]
    titles = ["CamVid's names", "other words", *opened, "150 names", "847 names", "Cityscapes"]
    assert main([*small, "--min-share", "0", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert list(figures) == titles
    assert [figures[title]["kept_classes_mean"] for title in titles] == [11] * (2 + len(opened)) + [20, 20, 19]
    assert figures["CamVid's names"]["images_with_all_classes_kept"] == 1
    assert all(0 <= each["miou"] <= 1 and len(each["iou"]) == 11 for each in figures.values())
    # The keys mean what they mean in `errseg evaluate --json`.
    own = figures["CamVid's names"]
    known = [value for value in own["iou"].values() if value is not None]
    labelled = [own["iou"][name] for name in ("sky", "road")]
    assert own["miou"] == pytest.approx(np.mean(known)) and len(known) > 2
    assert own["miou_of_labelled_classes"] == pytest.approx(np.mean(labelled))
    table = capsys.readouterr().out
    assert all(title in table for title in titles) and "sealed" not in table and "3 images" in table

    assert main([*small, "--sealed", "--min-share", "0.2", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert "sealed words" in figures and figures["847 names"]["kept_classes_mean"] < 6


def test_a_missing_data_set_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path / "nowhere")]) == 2
    assert "benchmark-accuracy: error: " in capsys.readouterr().err

"""`errseg evaluate`, the real command with the embedded model, on tiny published folders."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from errseg_model import Segmenter
from errseg_model.datasets import create_dataset

SIZE = (64, 96)


def errseg_evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "errseg_model", "evaluate", *arguments]
    command += ["--device", "cpu", "--input-size", f"{SIZE[0]}x{SIZE[1]}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


@pytest.mark.parametrize(
    ("dataset", "split", "classes", "kept"), [("cityscapes", "val", 19, 48), ("ade20k-847", "val", 847, 48)]
)
def test_figures_are_those_that_torchmetrics_has_for_the_same_masks(
    publish: Callable[[Any], Path],
    every_layout: tuple[Any, ...],
    tmp_path: Path,
    dataset: str,
    split: str,
    classes: int,
    kept: int,
) -> None:
    published = next(p for p in every_layout if (p.dataset, p.split) == (dataset, split))
    root, of_labels = publish(published), set(published.values.values())
    file = tmp_path / "figures.json"
    done = errseg_evaluate("--dataset", dataset, "--root", str(root), "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert "evaluating: 100%" in done.stderr

    figures = json.loads(file.read_text())
    assert (figures["dataset"], figures["split"], figures["frames"]) == (dataset, split, 3)
    assert figures["max_classes"] == kept and set(figures["latency_ms"]) == {"p50", "p90", "p99"}
    assert len(figures["iou"]) == classes
    assert f"mIoU {figures['miou'] * 100:.2f}" in done.stdout
    labelled = [figures["iou"][name] for name in create_dataset(dataset, root).classes if name in of_labels]
    assert figures["miou_of_labelled_classes"] == pytest.approx(np.mean(labelled))
    unseen = sum(value is None for value in figures["iou"].values())
    assert f"not in the mean: {unseen} classes" in done.stdout

    samples = create_dataset(dataset, root)
    segmenter = Segmenter.from_pretrained("errseg-lite", device="cpu", input_size=SIZE, max_classes=kept)
    segmenter.set_vocabulary(samples.vocabulary)
    settings = {"num_classes": classes, "ignore_index": classes}
    mean = MulticlassJaccardIndex(average="macro", **settings)
    accuracy = MulticlassAccuracy(average="micro", **settings)
    for sample in samples:
        mask, truth = (torch.from_numpy(x.astype(np.int64)) for x in (segmenter(sample.image).mask, sample.labels))
        mean.update(mask[None], truth[None])
        accuracy.update(mask[None], truth[None])
    assert figures["miou"] == pytest.approx(mean.compute().item(), abs=1e-6)
    assert figures["pixel_accuracy"] == pytest.approx(accuracy.compute().item(), abs=1e-6)


def test_options_go_before_what_the_data_set_says(
    publish: Callable[[Any], Path], every_layout: tuple[Any, ...], tmp_path: Path
) -> None:
    root = publish(next(p for p in every_layout if p.dataset == "ade20k-847"))
    file = tmp_path / "figures.json"
    place = ["--dataset", "ade20k-847", "--root", str(root), "--json", str(file)]
    done = errseg_evaluate(*place, "--vocabulary", "Wall; moon; pier", "--max-classes", "2")
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    assert figures["max_classes"] == 2
    assert figures["classes_missing_in_dataset"] == ["moon"]
    assert len(figures["classes_missing_in_vocabulary"]) == 845
    assert "not in the vocabulary: building, sky" in done.stdout and "and 825 more" in done.stdout


def spoil_label(root: Path) -> None:
    for path in (root / "gtFine").rglob("b_1*"):
        Image.new("L", (20, 12), 40).save(path)


def spoil_size(root: Path) -> None:
    for path in (root / "gtFine").rglob("b_1*"):
        Image.new("L", (21, 12), 7).save(path)


def void_only(root: Path) -> None:
    for path in (root / "gtFine").rglob("*.png"):
        Image.new("L", (20, 12), 0).save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_label, "b_1_gtFine_labelIds.png have values that the data set does not know: 40"),
        (spoil_size, "b_1_gtFine_labelIds.png are (12, 21), expected (12, 20) as the picture"),
        (void_only, "no pixel of the labels counts: all of 3 images are void"),
    ],
)
def test_a_data_set_that_turns_out_wrong_ends_in_one_message(
    publish: Callable[[Any], Path],
    every_layout: tuple[Any, ...],
    tmp_path: Path,
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    root = publish(next(p for p in every_layout if p.dataset == "cityscapes"))
    spoil(root)
    file = tmp_path / "figures.json"
    done = errseg_evaluate("--dataset", "cityscapes", "--root", str(root), "--json", str(file))
    assert done.returncode == 2 and done.stdout == "" and not file.exists()
    assert done.stderr.splitlines()[-1].startswith("errseg: error: ") and message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr

"""`make benchmark-accuracy`: the figures of errseg-lite's model card, on CamVid's test split.

--split val is for work on the model; test is for measuring what is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from errseg_model.cli.camvid_benchmark import run
from errseg_model.cli.options import model_choice
from errseg_model.datasets import create_dataset
from errseg_model.datasets.class_lists import packaged
from errseg_model.evaluation.accuracy import Accuracy, crowded, measure
from errseg_model.evaluation.renaming import read_renaming, rename
from errseg_model.yaml_files import read_yaml

WORDS = Path("config/evaluation")
CROWDS = {150: ("ade20k_150", "ade20k_847"), 847: ("ade20k_847", "coco_stuff", "pascal_context_459")}
"""Sizes of the large vocabularies and the lists that their other names come from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Wrong input ends in one message and exit status 2."""
    return run("benchmark_accuracy", __doc__, _add_options, _measure, arguments)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sealed", action="store_true", help="the sealed words too: for a released model, once")


def _measure(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    dataset = create_dataset("camvid", arguments.root, arguments.split)
    segmenter = model_choice(arguments).load()
    names = dataset.vocabulary
    vocabularies = {"CamVid's names": names}
    opened = sorted(WORDS.glob("camvid_opened_*_words.yaml"))
    sealed = [WORDS / "camvid_sealed_words.yaml"] if arguments.sealed else []
    for file in (WORDS / "camvid_other_words.yaml", *opened, *sealed):
        title = file.stem.removeprefix("camvid_").replace("_", " ")
        vocabularies[title] = rename(names, read_renaming(file))
    same = [name for row in read_yaml(WORDS / "camvid_same_things.yaml") for name in row]
    for size, lists in CROWDS.items():
        vocabularies[f"{size} names"] = crowded(names, [packaged(x)(Path()).vocabulary for x in lists], same, size)
    measured = {title: measure(segmenter, dataset, vocabulary) for title, vocabulary in vocabularies.items()}
    cityscapes = packaged("cityscapes")(Path()).vocabulary
    counts_as = read_yaml(WORDS / "cityscapes_as_camvid.yaml")
    labels = [dataset.classes.index(counts_as[name]) for name in cityscapes.names]
    measured["Cityscapes"] = measure(segmenter, dataset, cityscapes, labels)
    figures = {title: _figures(accuracy, dataset.classes) for title, accuracy in measured.items()}
    return _table(measured, dataset.classes, segmenter.parameter_count), figures


def _figures(accuracy: Accuracy, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        **accuracy.confusion.to_json(classes),
        "expected_calibration_error": accuracy.reliability.expected_error(),
        "images_with_all_classes_kept": accuracy.hit_rate,
        "kept_classes_mean": float(accuracy.kept.mean()),
        "latency_ms_median": float(np.median(accuracy.latency_ms)),
    }


def _table(measured: dict[str, Accuracy], classes: tuple[str, ...], parameters: int) -> str:
    first = next(iter(measured.values()))
    whole = first.confusion.miou()
    width = max(map(len, measured))
    rows = [f"{'class':12}" + "".join(f"{title:>{width + 2}}" for title in measured)]
    ious = [accuracy.confusion.iou() * 100 for accuracy in measured.values()]
    for label, name in enumerate(classes):
        rows.append(f"{name:12}" + "".join(f"{iou[label]:{width + 2}.1f}" for iou in ious))
    columns: dict[str, Callable[[Accuracy], float]] = {
        "mIoU": lambda a: a.confusion.miou() * 100,
        "of the first": lambda a: a.confusion.miou() / whole * 100 if whole else float("nan"),
        "pixels right": lambda a: a.confusion.pixel_accuracy() * 100,
        "all kept": lambda a: a.hit_rate * 100,
        "kept": lambda a: float(a.kept.mean()),
        "ECE": lambda a: a.reliability.expected_error() * 100,
        "ms median": lambda a: float(np.median(a.latency_ms)),
    }
    rows.append("")
    for title, figure in columns.items():
        rows.append(f"{title:12}" + "".join(f"{figure(a):{width + 2}.1f}" for a in measured.values()))
    rows.append(
        f"\n{len(first.latency_ms)} images, {parameters / 1e6:.1f} million parameters; all but kept and ms in %"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())

"""`errseg evaluate`: a model against a labelled data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from errseg_model.cli.files import write_json
from errseg_model.cli.options import add_model_options, load_segmenter, vocabulary
from errseg_model.datasets.camvid import SPLITS, CamVid
from errseg_model.evaluation import Evaluation, evaluate, read_renaming

DATASETS = {"camvid": CamVid}


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("evaluate", help="measure on a labelled data set", description=__doc__)
    parser.add_argument("--dataset", required=True, choices=sorted(DATASETS))
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="the data set's folder")
    parser.add_argument("--split", default="test", help=f"one of {', '.join(SPLITS)} (default: test)")
    parser.add_argument("--vocabulary", type=vocabulary, metavar="V", help="default: the data set's classes")
    parser.add_argument("--classes-as", type=Path, metavar="FILE", help="YAML that renames classes")
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures here")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate and print. Raises InputError."""
    dataset = DATASETS[arguments.dataset](arguments.root, arguments.split)
    renamed = read_renaming(arguments.classes_as) if arguments.classes_as else None
    evaluation = evaluate(load_segmenter(arguments), dataset, arguments.vocabulary, renamed)
    if arguments.json is not None:
        write_json(arguments.json, evaluation.to_json())
    print(_table(evaluation))


def _table(evaluation: Evaluation) -> str:
    figures = evaluation.to_json()
    iou = evaluation.confusion.iou()
    width = max(len(name) for name in evaluation.classes)
    rows = [f"{'class':{width}}    IoU"]
    rows += [
        f"{name:{width}}  {'   - ' if np.isnan(value) else f'{value * 100:5.1f}'}"
        for name, value in zip(evaluation.classes, iou, strict=True)
    ]
    rows.append("")
    for title, names in (("vocabulary", evaluation.missing), ("data set", evaluation.surplus)):
        if names:
            rows.append(f"not in the {title}: {', '.join(names)}")
    latency = figures["latency_ms"]
    rows.append(
        f"mIoU {figures['miou'] * 100:.2f}   pixel accuracy {figures['pixel_accuracy'] * 100:.2f}   "
        f"{figures['frames']} images   {latency['p50']:.0f} ms median, {latency['p90']:.0f} ms 90th percentile"
    )
    return "\n".join(rows)

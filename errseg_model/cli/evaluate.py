"""`errseg evaluate`: a model against a labelled data set.

Without --vocabulary and --max-classes the classes and the K are those of the paper's tables; data sets that it has
no table for take the model's own K.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from errseg_model.cli.figures import add_json_option, check_json, show_figures
from errseg_model.cli.options import add_dataset_options, add_model_options, model_choice, open_dataset, vocabulary
from errseg_model.wording import listed

if TYPE_CHECKING:
    from errseg_model.evaluation.evaluate import Evaluation


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("evaluate", help="measure on a labelled data set", description=__doc__)
    add_dataset_options(parser, split="default: val, or camvid's test")
    parser.add_argument("--vocabulary", type=vocabulary, metavar="V", help="default: the data set's classes")
    parser.add_argument("--classes-as", type=Path, metavar="FILE", help="YAML that renames classes")
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate and print. Raises InputError."""
    # PyTorch takes seconds to import: not for those who only ask for help.
    from errseg_model.evaluation.evaluate import evaluate
    from errseg_model.evaluation.renaming import read_renaming

    check_json(arguments.json)
    dataset = open_dataset(arguments)
    choice = model_choice(arguments)
    if choice.max_classes is None:
        choice = dataclasses.replace(choice, max_classes=dataset.specification.max_classes)
    renamed = read_renaming(arguments.classes_as) if arguments.classes_as else None
    evaluation = evaluate(choice.load(), dataset, arguments.vocabulary, renamed)
    show_figures(_table(evaluation), evaluation.to_json(), arguments.json)


def _table(evaluation: Evaluation) -> str:
    from errseg_model.evaluation.evaluate import SHOWN_CLASSES

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
            rows.append(f"not in the {title}: {listed(names, SHOWN_CLASSES)}")
    if unseen := int(np.isnan(iou).sum()):
        rows.append(f"not in the mean: {unseen} classes that neither the labels nor the masks have")
    if figures["miou_of_labelled_classes"] != figures["miou"]:
        labelled = figures["miou_of_labelled_classes"] * 100
        rows.append(f"mean over the classes that the labels have, as detectron2 takes it: {labelled:.2f}")
    latency = figures["latency_ms"]
    rows.append(
        f"mIoU {figures['miou'] * 100:.2f}   pixel accuracy {figures['pixel_accuracy'] * 100:.2f}   "
        f"{figures['frames']} images   {latency['p50']:.0f} ms median, {latency['p90']:.0f} ms 90th percentile"
    )
    return "\n".join(rows)

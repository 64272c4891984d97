"""Words outside the training classes: a model that was trained without some of CamVid's classes is asked for them.

errseg train --config config/training/errseg-lite-heldout.yaml makes such a model. Beside it stand chance and a linear
head on the same image tower, trained on the train split without the labels of these classes. --split val is for work
on the model; test is for measuring what is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errseg_model.cli.camvid_benchmark import run
from errseg_model.cli.options import model_choice
from errseg_model.datasets import create_dataset
from errseg_model.errors import InputError
from errseg_model.evaluation.accuracy import measure
from errseg_model.evaluation.linear_head import LinearHead
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.evaluation.renaming import read_renaming, rename

OTHER_WORDS = Path("config/evaluation/camvid_other_words.yaml")

WIDTH = 13
"""Characters of a column of figures."""

LEGEND = (
    "IoU in %. * was not trained; the linear head cannot say it: 0 by construction.",
    "share: of the labelled pixels. chance: IoU of a guesser that sees no picture (errseg_model/benchmark_heldout.py).",
    f"model: asked for all classes by CamVid's names. other words: those with * by the words of {OTHER_WORDS}.",
    "errs to: the most frequent wrong class on the pixels of the class, and the share of them in %.",
)


@dataclass(frozen=True)
class HeldOutFigures:
    """A model and a linear head on one split, some of whose classes neither was trained on."""

    classes: tuple[str, ...]
    held_out: NDArray[np.bool_]
    """(classes,) which of them were not trained."""
    model: ConfusionMatrix
    """Asked for all classes by the data set's names."""
    other_words: ConfusionMatrix
    """Asked for those held out by other words, for the rest by the data set's names."""
    head: ConfusionMatrix
    """It has no output for a class that is held out."""

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """(classes,) each, 0..1; nan where the split does not show the class."""
        columns = {
            "share": shares(self.model),
            "chance": chance(self.model),
            "iou": self.model.iou(),
            "iou_by_other_words": self.other_words.iou(),
            "iou_of_linear_head": self.head.iou(),
        }
        shown = self.model.counts.any(1)
        return {title: np.where(shown, values, np.nan) for title, values in columns.items()}

    def to_json(self) -> dict[str, object]:
        """All figures; null where the split does not show a class."""
        columns = {title: [_number(x) for x in values] for title, values in self.columns().items()}
        per_class = {}
        for label, name in enumerate(self.classes):
            per_class[name] = {
                "held_out": bool(self.held_out[label]),
                **{title: values[label] for title, values in columns.items()},
                "model_says_instead": _mistake_json(mistake(self.model, label), self.classes),
                "linear_head_says_instead": _mistake_json(mistake(self.head, label), self.classes),
            }
        return {
            "classes": per_class,
            "mean_of_trained": {title: _number(_mean(x, ~self.held_out)) for title, x in self.columns().items()},
            "mean_of_held_out": {title: _number(_mean(x, self.held_out)) for title, x in self.columns().items()},
        }

    def table(self) -> str:
        """For people."""
        columns = self.columns()
        titles = ("share", "chance", "model", "other words", "linear head", "model errs to", "linear head errs to")
        rows = [f"{'class':14}" + "".join(f"{title:>{WIDTH}}" for title in titles[:5]) + f"  {titles[5]:19}{titles[6]}"]
        for label, name in enumerate(self.classes):
            held_out = bool(self.held_out[label])
            figures = _figures([values[label] for values in columns.values()], held_out)
            says = [_mistake_text(mistake(confusion, label), self.classes) for confusion in (self.model, self.head)]
            rows.append(f"{name + ' *' * held_out:14}{figures}  {says[0]:19}{says[1]}".rstrip())
        rows.append("")
        for title, group, held_out in (("mean", ~self.held_out, False), ("mean *", self.held_out, True)):
            rows.append(f"{title:14}" + _figures([_mean(x, group) for x in columns.values()], held_out))
        return "\n".join([*rows, "", *LEGEND])


def shares(confusion: ConfusionMatrix) -> NDArray[np.float64]:
    """(classes,) of all labelled pixels, which part the truth gives to the class."""
    total = max(1, confusion.counts.sum())
    share: NDArray[np.float64] = confusion.counts.sum(1) / total
    return share


def chance(confusion: ConfusionMatrix) -> NDArray[np.float64]:
    """(classes,) IoU of the better of two guessers that do not look at the picture; nan where no pixel is labelled so.

    A guesser scatters a class over a part q of the pixels at random, where the truth has it on a part p. It is right
    on p * q of them, and truth or guess have p + q - p * q: that is its IoU. One guesser knows how much of the split
    every class covers, q = p, and gets p / (2 - p). The other knows how much of it the model gave to the class: its
    IoU is what the model's own pixels would get, were they elsewhere at random.

    The IoU grows with q. Whoever calls every pixel of all pictures by one class (q = 1) gets p for that class and
    nothing for any other: `shares` is the most that a guesser gets to whom all places are alike.
    """
    total = max(1, confusion.counts.sum())
    true = shares(confusion)
    said = np.maximum(true, confusion.counts[:, : confusion.num_classes].sum(0) / total)
    both = true * said
    iou: NDArray[np.float64] = np.divide(both, true + said - both, out=np.full(len(true), np.nan), where=true > 0)
    return iou


def mistake(confusion: ConfusionMatrix, label: int) -> tuple[int, float] | None:
    """The class that pixels of class `label` are most often taken for, and the share of them; None without any."""
    wrong = confusion.counts[label, : confusion.num_classes].copy()
    wrong[label] = 0
    worst = int(wrong.argmax())
    return (worst, float(wrong[worst] / confusion.counts[label].sum())) if wrong[worst] else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Wrong input ends in one message and exit status 2."""
    return run("benchmark_heldout", __doc__, _add_options, _measure, arguments)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--held-out", nargs="+", required=True, metavar="C", help="classes that were not trained")


def _measure(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    train, dataset = (create_dataset("camvid", arguments.root, split) for split in ("train", arguments.split))
    names, held_out = dataset.classes, list(arguments.held_out)
    if unknown := [name for name in held_out if name not in names]:
        raise InputError(f"--held-out has {', '.join(unknown)}, which is no class of CamVid: {', '.join(names)}")
    if set(held_out) == set(names):
        raise InputError("--held-out has every class: nothing is left that a linear head could learn")
    if arguments.checkpoint is None:
        raise InputError("--checkpoint is needed: the package's own weights were trained with all classes")
    words = {name: entry for name, entry in read_renaming(OTHER_WORDS).items() if name in held_out}
    segmenter = model_choice(arguments).load()
    head = LinearHead.train(segmenter, train, held_out)
    figures = HeldOutFigures(
        classes=names,
        held_out=np.isin(names, held_out),
        model=measure(segmenter, dataset, dataset.vocabulary).confusion,
        other_words=measure(segmenter, dataset, rename(dataset.vocabulary, words)).confusion,
        head=head.measure(segmenter, dataset),
    )
    text = f"CamVid {arguments.split}, {len(dataset)} images\n\n{figures.table()}"
    return text, {"split": arguments.split, "images": len(dataset), **figures.to_json()}


def _figures(values: Sequence[float], held_out: bool) -> str:
    """Shares 0..1 in %, in columns; the last is the linear head's."""
    texts = ["-" if np.isnan(value) else f"{value * 100:.1f}" for value in values]
    if held_out:
        texts[-1] = "cannot"
    return "".join(f"{text:>{WIDTH}}" for text in texts)


def _mean(values: NDArray[np.float64], group: NDArray[np.bool_]) -> float:
    """Over the classes of the group that the split shows; nan without any."""
    shown = group & ~np.isnan(values)
    return float(values[shown].mean()) if shown.any() else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mistake_text(found: tuple[int, float] | None, classes: Sequence[str]) -> str:
    return "-" if found is None else f"{classes[found[0]]} {found[1] * 100:.1f}"


def _mistake_json(found: tuple[int, float] | None, classes: Sequence[str]) -> dict[str, object] | None:
    return None if found is None else {"class": classes[found[0]], "share": found[1]}


if __name__ == "__main__":
    sys.exit(main())

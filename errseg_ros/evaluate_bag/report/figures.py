"""The headline figures of an evaluation, and report.json."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from errseg_ros.evaluate_bag.report.shares import ClassShares
from errseg_ros.evaluate_bag.results import Evaluation

_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Figures:
    """What all frames come to; None is what was not measured."""

    frames: int
    miou: float | None
    """Of the confusion matrix over all frames."""
    miou_of_labelled_classes: float | None
    """The same, over the classes that the labels have, as detectron2 takes it."""
    mean_frame_miou: float | None
    pixel_accuracy: float | None
    iou: dict[str, float | None] | None
    """By class of the labels; None for a class that neither labels nor masks have."""
    latency_ms: dict[str, float | None]
    """p50, p90 and p99."""
    frames_per_second: float | None
    """`Evaluation.frames_per_second`."""
    confidence: float | None
    """Mean over the frames that have labelled pixels."""
    unlabelled: float | None
    flicker: float | None
    disagreement: float | None
    class_shares: dict[str, float]
    """Mean over all frames."""

    @classmethod
    def of(cls, evaluation: Evaluation, shares: ClassShares) -> Figures:
        """The figures of an evaluation."""
        frames, truth = evaluation.frames, evaluation.truth
        latencies = [frame.latency_ms for frame in frames]
        iou = None
        if truth is not None:
            values = truth.confusion.iou()
            iou = {name: _finite(value) for name, value in zip(truth.classes, values, strict=True)}
        return cls(
            frames=len(frames),
            miou=_finite(truth.confusion.miou()) if truth else None,
            miou_of_labelled_classes=_finite(truth.confusion.miou_of_truth()) if truth else None,
            mean_frame_miou=mean(frame.miou for frame in frames),
            pixel_accuracy=_finite(truth.confusion.pixel_accuracy()) if truth else None,
            iou=iou,
            latency_ms={f"p{p}": float(np.percentile(latencies, p)) if latencies else None for p in _PERCENTILES},
            frames_per_second=evaluation.frames_per_second,
            confidence=mean(frame.confidence for frame in frames if frame.unlabelled < 1),
            unlabelled=mean(frame.unlabelled for frame in frames),
            flicker=mean(frame.flicker for frame in frames),
            disagreement=mean(frame.disagreement for frame in frames),
            class_shares=dict(zip(shares.names, shares.means().tolist(), strict=True)),
        )

    def to_json(self, evaluation: Evaluation) -> dict[str, Any]:
        """The content of report.json: the keys of the public interface, then the rest. No number is nan."""
        truth, live = evaluation.truth, evaluation.live
        mious = bag_mious(evaluation)
        return {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "iou": self.iou,
            "frames": self.frames,
            "latency_ms": self.latency_ms,
            "miou_of_labelled_classes": self.miou_of_labelled_classes,
            "mean_frame_miou": self.mean_frame_miou,
            "frames_per_second": self.frames_per_second,
            "confidence": self.confidence,
            "unlabelled": self.unlabelled,
            "flicker": self.flicker,
            "disagreement": self.disagreement,
            "compared_with": evaluation.compared_with,
            "class_shares": self.class_shares,
            "classes_missing_in_vocabulary": list(truth.missing_in_vocabulary) if truth else None,
            "classes_missing_for_a_time": {n: list(v) for n, v in truth.missing_for_a_time.items()} if truth else None,
            "classes_missing_in_labels": list(truth.missing_in_labels) if truth else None,
            "label_tolerance_seconds": truth.tolerance_seconds if truth else None,
            "interrupted": evaluation.interrupted,
            "problems": [f"{bag.name}: {problem}" for bag in evaluation.bags for problem in bag.problems],
            "notes": list(evaluation.notes),
            "live": asdict(live) if live else None,
            "model": evaluation.model,
            "device": evaluation.device,
            "input_size": list(evaluation.input_size),
            "max_classes": evaluation.max_classes,
            "run_with": dict(evaluation.run_with),
            "confidence_threshold": evaluation.confidence_threshold,
            "stride": evaluation.stride,
            "wall_seconds": evaluation.wall_seconds,
            "loop_seconds": evaluation.loop_seconds,
            "model_seconds": evaluation.model_seconds,
            "vocabularies": [
                {"since": period.since, "entries": period.vocabulary.to_strings()} for period in evaluation.vocabularies
            ],
            "bags": [
                {**asdict(bag), "problems": list(bag.problems), "mean_frame_miou": mious[bag.name]}
                for bag in evaluation.bags
            ],
        }


def bag_mious(evaluation: Evaluation) -> dict[str, float | None]:
    """By name of the bag the mean of the mIoU of its frames; None where none has a truth."""
    found: dict[str, list[float | None]] = {bag.name: [] for bag in evaluation.bags}
    for frame in evaluation.frames:
        found[frame.bag].append(frame.miou)
    return {name: mean(values) for name, values in found.items()}


def mean(values: Iterable[float | None]) -> float | None:
    """Over those that were measured; None where none was."""
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

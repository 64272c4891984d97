"""What a replay came to, in figures: for summary.json and for the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.vocabulary import Vocabulary
from errseg_ros.demo.frames import Frame, Source, rate_of
from errseg_ros.demo.pictures import AFTER, ANIMATION, BEFORE, OVERLAYS
from errseg_ros.demo.recording import Answer, Recording
from errseg_ros.demo.vocabularies import label_ids

SUMMARY = "summary.json"
LOG = "node.log"

_WIDTH = 100
_INDENT = "  "
_UNBROKEN = "\0"  # stands for a space inside a name


@dataclass(frozen=True)
class Side:
    """The replay before, or after, the change of the vocabulary."""

    vocabulary: Vocabulary
    version: int
    ids: tuple[int, ...]
    masks: int
    confidence: float
    """Mean over all pixels, 0..1."""
    confusion: ConfusionMatrix | None
    """Against the source's labels; None where it has none, or where the vocabulary leaves some of them out."""

    def to_json(self, label_names: Sequence[str]) -> dict[str, Any]:
        """Figures under the keys that all reports of errseg share."""
        figures: dict[str, Any] = {
            "database_version": self.version,
            "vocabulary": self.vocabulary.to_strings(),
            "class_ids": list(self.ids),
            "frames": self.masks,
            "mean_confidence": round(self.confidence, 4),
        }
        if self.confusion is not None:
            iou = self.confusion.iou()
            figures["miou"] = self.confusion.miou()
            figures["pixel_accuracy"] = self.confusion.pixel_accuracy()
            figures["iou"] = {
                name: None if np.isnan(value) else float(value) for name, value in zip(label_names, iou, strict=True)
            }
        return figures


class Tally:
    """Adds up the answers under one vocabulary."""

    def __init__(self, source: Source, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        ids = label_ids(vocabulary, source.label_names)
        self._label_of = None if ids is None else np.array(ids)
        self._confusion = None if ids is None else ConfusionMatrix(len(source.label_names))
        self._confidences: list[float] = []

    def add(self, frame: Frame, answer: Answer) -> None:
        """Add one answer under this vocabulary."""
        self._confidences.append(answer.confidence)
        if self._confusion is not None and self._label_of is not None and frame.labels is not None:
            # An unlabelled pixel means no label.
            meaning = np.append(self._label_of, self._confusion.num_classes)
            mask = np.minimum(answer.mask, len(self._label_of))
            self._confusion.update(frame.labels, meaning[mask])

    def side(self, version: int, ids: tuple[int, ...]) -> Side:
        """The sum."""
        confidence = float(np.mean(self._confidences)) if self._confidences else 0.0
        return Side(self._vocabulary, version, ids, len(self._confidences), confidence, self._confusion)


@dataclass(frozen=True)
class Report:
    """Everything that the demo has to say."""

    source: Source
    recording: Recording
    before: Side
    after: Side
    out: Path

    def latency_ms(self, percentile: float) -> float:
        """From an image's stamp to its mask."""
        return float(np.percentile([answer.latency_ms for answer in self.recording.answers], percentile))

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json."""
        recording = self.recording
        return {
            "source": self.source.name,
            "frames_in": recording.shown,
            "frames_out": len(recording.answers),
            "seconds": round(recording.seconds, 3),
            "rate_in_hz": round(rate_of(self.source.stamps), 2),
            "rate_out_hz": round(self._rate_out(), 2),
            "latency_ms": {f"p{p}": round(self.latency_ms(p), 1) for p in (50, 90, 99)},
            "vocabulary_change": {
                "reply_ms": round(recording.reply_ms, 1),
                "first_mask_ms": round(recording.first_mask_ms, 1),
            },
            "before": self.before.to_json(self.source.label_names),
            "after": self.after.to_json(self.source.label_names),
            "masks": [
                {
                    "overlay": OVERLAYS.replace("*", f"{number:04d}"),
                    "frame": answer.frame,
                    "database_version": self._side_of(answer).version,
                    "latency_ms": round(answer.latency_ms, 1),
                }
                for number, answer in enumerate(recording.answers)
            ],
        }

    def to_text(self) -> str:
        """The summary for the screen."""
        recording, before, after = self.recording, self.before, self.after
        missed = recording.shown - len(recording.answers)
        why = f"; {missed} passed over: the newest image wins" if missed else ""
        rows = [
            _row("images in", f"{recording.shown}  ({rate_of(self.source.stamps):.1f} Hz)"),
            _row("masks out", f"{len(recording.answers)}  ({self._rate_out():.1f} Hz{why})"),
            _row(
                "latency",
                f"{self.latency_ms(50):.0f} ms median, {self.latency_ms(90):.0f} ms 90th percentile "
                "(image stamp to mask received)",
            ),
            "",
            _row("vocabulary", f"{'before':<12}after"),
            _row("version", f"{before.version:<12}{after.version}"),
            _row("classes", f"{len(before.vocabulary):<12}{len(after.vocabulary)}"),
            _row("masks", f"{before.masks:<12}{after.masks}"),
            _row("confidence", f"{before.confidence:<12.0%}{after.confidence:.0%}"),
        ]
        if before.confusion is not None or after.confusion is not None:
            rows.append(_row("mIoU", f"{_miou(before):<12}{_miou(after)}  (against the exact labels)"))
        rows += [
            _row(
                "change",
                f"accepted after {recording.reply_ms:.0f} ms, first new mask after {recording.first_mask_ms:.0f} ms",
            ),
            *_paragraph("before", before.vocabulary),
            *_paragraph("after", after.vocabulary),
            "",
            _row("pictures", f"{self.out / OVERLAYS}, {BEFORE}, {AFTER}, {ANIMATION}"),
            _row("figures", str(self.out / SUMMARY)),
        ]
        return "\n".join(rows)

    def _rate_out(self) -> float:
        return rate_of([answer.sent_ns for answer in self.recording.answers])

    def _side_of(self, answer: Answer) -> Side:
        return self.before if answer.vocabulary == self.before.vocabulary else self.after


def _row(name: str, value: str) -> str:
    return f"{_INDENT}{name:<12}{value}"


def _miou(side: Side) -> str:
    return "-" if side.confusion is None else f"{side.confusion.miou():.1%}"


def _paragraph(name: str, vocabulary: Vocabulary) -> list[str]:
    """The names, in lines that fit a terminal."""
    names = [name.replace(" ", _UNBROKEN) for name in vocabulary.names]
    lines = textwrap.wrap(", ".join(names), _WIDTH - len(_row("", "")))
    return [_row(name if number == 0 else "", line.replace(_UNBROKEN, " ")) for number, line in enumerate(lines)]

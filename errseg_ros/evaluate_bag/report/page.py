"""The page: puts figures, charts and pictures into its template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from errseg_model.vocabulary import VocabularyEntry
from errseg_ros.evaluate_bag.report import wording
from errseg_ros.evaluate_bag.report.charts import confusion_chart, latency_chart, shares_chart, timeline_chart
from errseg_ros.evaluate_bag.report.colours import OTHERS, UNLABELLED, Colour, class_colours, css
from errseg_ros.evaluate_bag.report.confusion import MAX_SHOWN, class_rows, confused_pairs, shown_matrix
from errseg_ros.evaluate_bag.report.figures import Figures, bag_mious
from errseg_ros.evaluate_bag.report.pictures import Picture, colour_counts, drawing, marked, photo
from errseg_ros.evaluate_bag.report.shares import ClassShares
from errseg_ros.evaluate_bag.report.timeline import Floats, Timeline
from errseg_ros.evaluate_bag.results import BagSummary, Evaluation, Exhibit, FrameResult, VocabularyPeriod

TEMPLATE = "report.html.j2"
STYLE = "report.css"
MAX_BANDS = 12
"""Classes in the chart of shares; the others are one."""

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class LegendItem:
    """A colour and what it stands for."""

    name: str
    colour: str
    share: float | None = None
    is_class: bool = True


@dataclass(frozen=True)
class LatencyPart:
    """The histogram, and what lies beyond it."""

    chart: Markup
    beyond: int
    greatest: float


@dataclass(frozen=True)
class ExhibitPart:
    """Pictures side by side."""

    frame: FrameResult
    pictures: list[tuple[str, Picture]]
    legend: list[LegendItem]


@dataclass(frozen=True)
class BagPart:
    """A row of the table of bags."""

    summary: BagSummary
    recorded: str
    miou: float | None


@dataclass(frozen=True)
class VocabularyPart:
    """A vocabulary, and how it differs from the one before."""

    since: float
    entries: tuple[VocabularyEntry, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    reworded: tuple[str, ...]


def render(evaluation: Evaluation, figures: Figures, shares: ClassShares, made: datetime) -> str:
    """The page as HTML that needs nothing else. `made` is the time that it names."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        percent=wording.percent, ms=wording.milliseconds, seconds=wording.seconds, count=wording.count
    )
    colours = class_colours(evaluation)
    timeline = Timeline(evaluation)
    truth = evaluation.truth
    compared = truth is not None and truth.compared
    shares_drawn, shares_legend = _shares(timeline, evaluation, figures, shares, colours)
    matrix, timeline_drawn = _matrix(evaluation), _timeline_chart(timeline)
    latency = _latency(evaluation, figures)
    return environment.get_template(TEMPLATE).render(
        style=Markup((_HERE / STYLE).read_text(encoding="utf-8")),
        sections=[
            ("figures", "Figures", True),
            ("problems", "Problems", True),
            ("classes", "IoU per class", compared),
            ("confusion", "Confusion", matrix),
            ("shares", "Class shares", shares_drawn),
            ("timeline", "Frame by frame", timeline_drawn),
            ("latency", "Latency", latency),
            ("worst", "Worst frames", evaluation.worst),
            ("best", "Best frames", evaluation.best),
            ("bags", "Bags", True),
            ("vocabularies", "Vocabularies", True),
            ("method", "How it was computed", True),
        ],
        evaluation=evaluation,
        figures=figures,
        made=made,
        headline=wording.headline(evaluation, figures),
        unmatched=sum(bag.evaluated - bag.labelled for bag in evaluation.bags) if truth else 0,
        compared=compared,
        classes=class_rows(truth) if truth and compared else [],
        colours={name: css(colour) for name, colour in colours.items()},
        matrix=matrix,
        matrix_limit=MAX_SHOWN,
        pairs=confused_pairs(truth) if truth else [],
        shares_chart=shares_drawn,
        shares_legend=shares_legend,
        timeline=timeline,
        timeline_chart=timeline_drawn,
        latency=latency,
        exhibits=[
            ("Worst frames", "worst", [_exhibit(exhibit) for exhibit in evaluation.worst]),
            ("Best frames", "best", [_exhibit(exhibit) for exhibit in evaluation.best]),
        ],
        bags=_bags(evaluation),
        vocabularies=_vocabularies(evaluation.vocabularies),
        settings=wording.settings(evaluation, made),
        definitions=wording.definitions(evaluation, figures),
    )


def _matrix(evaluation: Evaluation) -> tuple[Markup, int] | None:
    """The picture, and how many classes it leaves out; None where no pixel has a label."""
    if evaluation.truth is None or not evaluation.truth.compared:
        return None
    matrix = shown_matrix(evaluation.truth)
    return confusion_chart(matrix), matrix.hidden


def _timeline_chart(timeline: Timeline) -> Markup | None:
    panels = {
        "mIoU of the frame": (timeline.series(lambda frame: frame.miou), "%"),
        "Confidence": (timeline.series(lambda frame: frame.confidence), "%"),
        "Flicker": (timeline.series(lambda frame: frame.flicker), "%"),
        "Disagreement": (timeline.series(lambda frame: frame.disagreement), "%"),
        "Latency": (timeline.series(lambda frame: frame.latency_ms), "ms"),
    }
    measured = {title: panel for title, panel in panels.items() if panel[0].measured}
    return timeline_chart(timeline, measured) if timeline.frames > 1 else None


def _shares(
    timeline: Timeline, evaluation: Evaluation, figures: Figures, shares: ClassShares, colours: dict[str, Colour]
) -> tuple[Markup | None, list[LegendItem]]:
    """The chart, the largest class at its bottom, and its legend."""
    if not evaluation.frames:
        return None, []
    means = np.array(list(figures.class_shares.values()))
    largest = np.argsort(-means, kind="stable")
    largest = largest[means[largest] > 0]
    drawn, others = largest[:MAX_BANDS], largest[MAX_BANDS:]
    values = np.nan_to_num(shares.values[:, drawn])
    rest = np.nan_to_num(shares.values[:, others]).sum(axis=1, keepdims=True)
    unlabelled = np.array([[frame.unlabelled] for frame in evaluation.frames], np.float32)
    points = timeline.means(np.concatenate([values, rest, unlabelled], axis=1).astype(np.float32))
    parts: list[tuple[Floats, Colour]] = []
    legend = []
    for column, position in enumerate(drawn):
        name = shares.names[position]
        parts.append((points[:, column], colours[name]))
        legend.append(LegendItem(name, css(colours[name]), float(means[position])))
    if len(others):
        title = f"{len(others)} other classes"
        parts.append((points[:, -2], OTHERS))
        legend.append(LegendItem(title, css(OTHERS), float(means[others].sum()), is_class=False))
    if figures.unlabelled:
        parts.append((points[:, -1], UNLABELLED))
        legend.append(LegendItem("unlabelled", css(UNLABELLED), figures.unlabelled, is_class=False))
    return shares_chart(timeline, parts), legend


def _latency(evaluation: Evaluation, figures: Figures) -> LatencyPart | None:
    if len(evaluation.frames) < 2:  # the headline says it all
        return None
    latencies = np.array([frame.latency_ms for frame in evaluation.frames], np.float64)
    percentiles = {
        title: value
        for title, key in (("median", "p50"), ("90 %", "p90"), ("99 %", "p99"))
        if (value := figures.latency_ms[key]) is not None
    }
    # A single frame of many seconds must not squeeze all others into one bar.
    limit = min(float(latencies.max()), 2.0 * percentiles["99 %"])
    beyond = int((latencies > limit).sum())
    return LatencyPart(latency_chart(latencies, percentiles, limit), beyond, float(latencies.max()))


def _exhibit(exhibit: Exhibit) -> ExhibitPart:
    pictures = [("Image", photo(exhibit.image))]
    if exhibit.truth is not None:
        pictures.append(("Label", drawing(exhibit.truth)))
    pictures.append(("Mask", drawing(exhibit.mask)))
    if exhibit.wrong is not None:
        pictures.append(("Where the mask is wrong", marked(exhibit.image, exhibit.wrong)))
    counts = colour_counts(exhibit.truth, exhibit.mask)
    largest = sorted(exhibit.colours.items(), key=lambda item: -counts[item[1]])
    legend = [LegendItem(name, css(colour)) for name, colour in largest]
    if counts[UNLABELLED]:
        legend.append(LegendItem("no class", css(UNLABELLED), is_class=False))
    return ExhibitPart(exhibit.frame, pictures, legend)


def _bags(evaluation: Evaluation) -> list[BagPart]:
    stamps: dict[str, int] = {}
    for frame in evaluation.frames:
        stamps.setdefault(frame.bag, frame.stamp_ns)
    mious = bag_mious(evaluation)
    return [BagPart(bag, wording.date(stamps.get(bag.name, 0)), mious[bag.name]) for bag in evaluation.bags]


def _vocabularies(periods: tuple[VocabularyPeriod, ...]) -> list[VocabularyPart]:
    parts = []
    before: dict[str, VocabularyEntry] = {}
    for number, period in enumerate(periods):
        now = {entry.key: entry for entry in period.vocabulary.entries}
        gained = tuple(entry.name for key, entry in now.items() if key not in before)
        lost = tuple(entry.name for key, entry in before.items() if key not in now)
        reworded = tuple(
            f"{now[key].name} ({', '.join(now[key].synonyms) or 'none'})"
            for key, entry in before.items()
            if key in now and now[key].synonyms != entry.synonyms
        )
        if number == 0:
            gained = ()
        parts.append(VocabularyPart(period.since, period.vocabulary.entries, gained, lost, reworded))
        before = now
    return parts

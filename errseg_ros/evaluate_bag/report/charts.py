"""The report's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from errseg_ros.evaluate_bag.report.colours import Colour, css
from errseg_ros.evaluate_bag.report.confusion import ShownMatrix
from errseg_ros.evaluate_bag.report.svg import ACCENT, BAND, GRID, INK, SOFT, figure, plain, styled, to_svg
from errseg_ros.evaluate_bag.report.timeline import Floats, Series, Timeline

_PANEL = 1.35  # inches
_SHADE = "#f3f5f8"
_CHANGE = "#b3541e"
_MAX_NUMBERED = 20  # bags that have room for their number
_FEW_POINTS = 60  # each is marked
_MAX_BINS = 40
_MAX_ANNOTATED = 14  # classes of a matrix that has room for its figures
_CELL = 0.36  # inches


@styled
def timeline_chart(timeline: Timeline, panels: Mapping[str, tuple[Series, str]]) -> Markup:
    """A panel for each title with a line for the mean and a band from least to greatest; units "%" or "ms"."""
    drawn, axes = figure(_PANEL * len(panels) + 0.9, len(panels))
    for axis, (title, (series, unit)) in zip(axes, panels.items(), strict=True):
        marker = "o" if len(timeline.x) <= _FEW_POINTS else ""
        if timeline.frames_per_point > 1:
            axis.fill_between(timeline.x, series.low, series.high, color=BAND, linewidth=0)
        axis.plot(timeline.x, series.mean, color=ACCENT, linewidth=1.6, marker=marker, markersize=4)
        if not marker:
            axis.plot(timeline.x[series.lone], series.mean[series.lone], "o", color=ACCENT, markersize=3)
        axis.set_title(title)
        axis.grid(axis="y")
        _scale(axis, float(np.nanmax(series.high)), unit)
        _context(axis, timeline)
    _time(axes[-1], timeline)
    _numbers(axes[0], timeline)
    return to_svg(drawn, "timeline", f"Per frame over time: {', '.join(panels)}")


@styled
def shares_chart(timeline: Timeline, parts: Sequence[tuple[Floats, Colour]]) -> Markup:
    """Areas upon each other, the first at the bottom: shares (points,) of classes over time."""
    drawn, (axis,) = figure(4.2)
    axis.stackplot(
        timeline.x,
        [values for values, _ in parts],
        colors=[css(colour) for _, colour in parts],
        edgecolor="white",
        linewidth=0.4,
    )
    axis.set_ylim(0.0, 1.0)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axis.set_ylabel("share of the pixels")
    _context(axis, timeline, shaded=False)
    _time(axis, timeline)
    _numbers(axis, timeline)
    return to_svg(drawn, "shares", "Share of the pixels of each class over time")


@styled
def latency_chart(latencies: Floats, percentiles: Mapping[str, float], limit: float) -> Markup:
    """Histogram up to `limit` milliseconds, with a line at each percentile."""
    drawn, (axis,) = figure(3.4)
    low = float(latencies.min())
    if limit <= low:
        low, limit = low - 0.5, limit + 0.5
    bins = min(max(len(latencies) // 4, 10), _MAX_BINS)
    counts, edges = np.histogram(latencies, bins=bins, range=(low, limit))
    axis.stairs(counts, edges, fill=True, color=BAND)
    axis.stairs(counts, edges, color=ACCENT, linewidth=1.2)
    axis.set_ylim(0, max(float(counts.max()), 1.0) * 1.45)
    for number, (title, value) in enumerate(percentiles.items()):
        axis.axvline(value, color=INK, linewidth=1.2, linestyle="--")
        axis.annotate(
            f"{title}: {value:.0f} ms",
            (value, 0.95 - 0.11 * number),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axis.set_xlabel("milliseconds")
    axis.set_ylabel("frames")
    axis.margins(x=0.1)
    return to_svg(drawn, "latency", "Histogram of the latency: " + _spoken(percentiles))


@styled
def confusion_chart(matrix: ShownMatrix) -> Markup:
    """Rows are classes of the labels, columns what the masks call their pixels."""
    rows, columns = matrix.values.shape
    drawn, (axis,) = figure(max(rows * _CELL, 1.0) + 2.6)
    axis.imshow(matrix.values, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="none", aspect="auto")
    axis.set_xticks(range(columns), [plain(n) for n in matrix.columns], rotation=40, ha="right", parse_math=False)
    axis.set_yticks(range(rows), [plain(n) for n in matrix.rows], parse_math=False)
    axis.tick_params(length=0, labelcolor=INK)
    axis.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axis.grid(which="minor", color=GRID, linewidth=0.6)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    axis.set_ylabel("label")
    axis.set_xlabel("mask")
    size = 12 if columns <= _MAX_ANNOTATED else 9
    for (row, column), value in np.ndenumerate(matrix.values):
        if value >= 0.005:
            colour = "white" if value > 0.55 else INK
            axis.text(column, row, f"{value * 100:.0f}", ha="center", va="center", fontsize=size, color=colour)
    return to_svg(drawn, "confusion", "Confusion matrix; the pairs that are confused most are listed below it")


def _scale(axis: Axes, greatest: float, unit: str) -> None:
    axis.set_ylim(0.0, max(greatest * 1.1, 1e-3))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=3))
    if unit == "%":
        axis.set_ylim(0.0, min(max(greatest * 1.15, 0.01), 1.02))
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    else:
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} {unit}"))


def _context(axis: Axes, timeline: Timeline, shaded: bool = True) -> None:
    """Marks every second bag by a shade, and where the vocabulary changes."""
    if shaded:
        for stretch in timeline.stretches[1::2]:
            axis.axvspan(stretch.start, stretch.end, color=_SHADE, zorder=0, linewidth=0)
    for change in timeline.changes:
        axis.axvline(change.at, color="white", linewidth=3.0)  # seen before any colour
        axis.axvline(change.at, color=_CHANGE, linewidth=1.2, linestyle="--")


def _numbers(axis: Axes, timeline: Timeline) -> None:
    """Names the changes, and the bags by their numbers, above the chart."""
    place = ("data", "axes fraction")
    for change in timeline.changes:
        axis.annotate(
            f"vocabulary {change.vocabulary + 1}",
            (change.at, 1.0),
            xycoords=place,
            xytext=(4, 4),
            textcoords="offset points",
            color=_CHANGE,
        )
    if 1 < len(timeline.stretches) <= _MAX_NUMBERED:
        for number, stretch in enumerate(timeline.stretches, start=1):
            axis.annotate(
                f"bag {number}",
                ((stretch.start + stretch.end) / 2, 1.0),
                xycoords=place,
                xytext=(0, 20),
                textcoords="offset points",
                ha="center",
                color=SOFT,
            )


def _time(axis: Axes, timeline: Timeline) -> None:
    axis.set_xlim(0.0, timeline.length)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))
    together = ", bags one after the other" if len(timeline.stretches) > 1 else ""
    axis.set_xlabel(f"{timeline.unit}{together}")
    if timeline.frames == 1:
        axis.set_xticks([])
        axis.set_xlabel("one frame")


def _spoken(percentiles: Mapping[str, float]) -> str:
    return ", ".join(f"{title} {value:.0f} ms" for title, value in percentiles.items())

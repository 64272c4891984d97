"""Figures in words: how numbers are written, the headline, the settings, and what each figure means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from errseg_ros.evaluate_bag.report.figures import Figures
from errseg_ros.evaluate_bag.results import Evaluation
from errseg_ros.ros_time import SECOND

NOTHING = "–"
"""For a figure that was not measured."""
_SPACE = "\u00a0"  # keeps a number and its unit on one line
_LESS = "; less where the image's aspect ratio is another"
_FIRST_YEAR = 2000  # stamps before are no dates: simulators count from 0


@dataclass(frozen=True)
class Card:
    """A headline figure."""

    label: str
    value: str
    hint: str = ""


def percent(value: float | None, digits: int = 1) -> str:
    """A share 0..1; what is there but would be rounded to nothing is said to be less than the least."""
    if value is None:
        return NOTHING
    least = 10.0**-digits
    too_small = 0 < value * 100 < least / 2
    return f"<{_SPACE}{least:.{digits}f}{_SPACE}%" if too_small else f"{value * 100:.{digits}f}{_SPACE}%"


def milliseconds(value: float | None) -> str:
    """A time in milliseconds."""
    return NOTHING if value is None else f"{value:.{0 if value >= 10 else 1}f}{_SPACE}ms"


def seconds(value: float) -> str:
    """A time in seconds."""
    if value < 120:
        return f"{value:.1f}{_SPACE}s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def count(value: int) -> str:
    """A whole number."""
    return f"{value:,}"


def date(stamp_ns: int) -> str:
    """A stamp as a date; nothing where it is none."""
    try:
        when = datetime.fromtimestamp(stamp_ns // SECOND, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return NOTHING
    return when.strftime("%Y-%m-%d %H:%M UTC") if when.year >= _FIRST_YEAR else NOTHING


def headline(evaluation: Evaluation, figures: Figures) -> list[Card]:
    """The figures to see first."""
    live, latency = evaluation.live, figures.latency_ms
    cards = []
    if figures.miou is not None:
        cards.append(Card("mIoU", percent(figures.miou), "mean over classes, all frames together"))
        cards.append(Card("Pixel accuracy", percent(figures.pixel_accuracy), "of the labelled pixels"))
    images = sum(bag.images for bag in evaluation.bags)
    cards.append(Card("Frames", count(figures.frames), f"of {count(images)} images in the bags"))
    if live:
        cards.append(Card("Published", count(live.published), f"in {seconds(live.seconds)}"))
        cards.append(Card("Answered", count(live.answered), _of(live.answered, live.published)))
        cards.append(Card("Dropped", count(live.dropped), _of(live.dropped, live.published)))
    rate = figures.frames_per_second
    hint = "with the start of the workers" if evaluation.side_by_side else "without loading the model"
    cards += [
        Card(
            "Frames a second",
            NOTHING if rate is None else f"{rate:.1f}",
            "masks received" if live else hint,
        ),
        Card("Latency, median", milliseconds(latency["p50"]), "image to mask"),
        Card("Latency, 90 %", milliseconds(latency["p90"]), "nine of ten frames are faster"),
        Card("Confidence", percent(figures.confidence), "mean of the labelled pixels"),
    ]
    if figures.flicker is not None:
        cards.append(Card("Flicker", percent(figures.flicker), "pixels that change class from frame to frame"))
    if figures.disagreement is not None:
        cards.append(Card("Disagreement", percent(figures.disagreement), "pixels that the comparison calls otherwise"))
    if figures.unlabelled:
        cards.append(Card("Unlabelled", percent(figures.unlabelled), "pixels below the threshold"))
    return cards


def settings(evaluation: Evaluation, made: datetime) -> list[tuple[str, str]]:
    """Name and value of everything that the figures depend on."""
    height, width = evaluation.input_size
    truth = evaluation.truth
    keeps_ratio = evaluation.run_with.get("resize") == "letterbox"
    rows = [
        ("Model", evaluation.model),
        ("Device", evaluation.device),
        ("Input size", f"{height} × {width} (height × width){_LESS if keeps_ratio else ''}"),
        ("Classes kept per image (K)", count(evaluation.max_classes)),
        *((name.capitalize(), value) for name, value in evaluation.run_with.items()),
        ("Confidence threshold", f"{evaluation.confidence_threshold:g}"),
        ("Stride", "every image" if evaluation.stride == 1 else f"one image of {evaluation.stride}"),
        ("Time of the evaluation", seconds(evaluation.wall_seconds)),
        ("Report written", made.strftime("%Y-%m-%d %H:%M %z")),
    ]
    if truth:
        rows.insert(-2, ("Tolerance between image and label", f"{truth.tolerance_seconds:g} s"))
    if evaluation.compared_with:
        rows.insert(-2, ("Compared with", evaluation.compared_with))
    if evaluation.loop_seconds and not evaluation.live:
        share = percent(evaluation.model_seconds / evaluation.loop_seconds)
        rows.insert(-1, ("Of it in the model, from the first image on", share))
    return rows


def definitions(evaluation: Evaluation, figures: Figures) -> list[tuple[str, str]]:
    """What each figure of the report is, a sentence each."""
    rows = []
    if evaluation.truth is not None and evaluation.truth.compared:
        rows += [
            (
                "IoU",
                "Of a class: pixels that label and mask both call so, divided by those that either calls so, "
                "counted over all frames together.",
            ),
            ("mIoU", "Mean of the IoU over the classes that labels or masks have, from the pixels of all frames."),
            (
                "mIoU of a frame",
                "The same from the pixels of one frame alone, by the classes of its own bag's labels; its mean over "
                f"frames ({percent(figures.mean_frame_miou)} here) is another figure than the mIoU, because a class "
                "that a frame shows little of counts there as much as one that fills it.",
            ),
            ("Pixel accuracy", "Share of the pixels with a label whose mask is right."),
            ("Recall", "Of the pixels labelled as a class, the share that the masks call so."),
            ("Precision", "Of the pixels that the masks call a class, the share that is labelled so."),
        ]
    rows.append(
        (
            "Latency",
            "From the arrival of the image here to the arrival of its mask, with the way there and back."
            if evaluation.live
            else "From the image in memory to the result in memory; reading and comparing do not count.",
        )
    )
    by_time = "Frames divided by the time from each bag's first image on, reading and comparing included."
    if evaluation.side_by_side:
        by_time = (
            "Frames of all bags, which were evaluated side by side, divided by the time of the whole evaluation, the "
            "start of the workers included."
        )
    if evaluation.live:
        by_time = "Masks received, divided by the time that the bags were played."
    rows.append(("Frames a second", by_time))
    rows.append(("Confidence", "Mean score of the chosen class over the pixels that have one."))
    rows.append(("Unlabelled", "Share of the pixels whose best class scores below the confidence threshold."))
    if figures.flicker is not None:
        rows.append(
            (
                "Flicker",
                "Share of the pixels whose class differs from that of the same pixel in the frame before; movement "
                "counts too, so compare it only between runs over the same bags.",
            )
        )
    if figures.disagreement is not None:
        rows.append(("Disagreement", f"Share of the pixels that get another class with {evaluation.compared_with}."))
    rows.append(("Class share", "Share of a frame's pixels that the mask calls so."))
    return rows


def _of(part: int, whole: int) -> str:
    return f"{percent(part / whole)} of the published" if whole else ""

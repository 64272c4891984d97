"""One bag, image after image: read, segment, match, count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_model.files import shown
from errseg_model.vocabulary import VocabularyEntry
from errseg_ros.bags import BagMessage, BagReader
from errseg_ros.evaluate_bag.accumulator import Accumulator, Answer
from errseg_ros.evaluate_bag.exhibits import Candidate
from errseg_ros.evaluate_bag.plan import BagPlan
from errseg_ros.evaluate_bag.problems import Problems
from errseg_ros.evaluate_bag.results import BagSummary
from errseg_ros.evaluate_bag.rows import Rows
from errseg_ros.evaluate_bag.settings import Settings
from errseg_ros.evaluate_bag.sink import ComputedFrame, FrameSink
from errseg_ros.evaluate_bag.stamps import DriveTime, header_stamp, is_stamped
from errseg_ros.evaluate_bag.truth import Truths
from errseg_ros.image_decoding import rgb_from_message
from errseg_ros.ros_time import SECOND

if TYPE_CHECKING:
    from errseg_ros.evaluate_bag.models import Models


@dataclass(frozen=True)
class Kept:
    """The classes that the models kept in an image; the next one holds them, as the node's images do."""

    period: int
    own: NDArray[np.int64] | None
    """`SegmentationResult.selected`; None before the first image of the period."""
    other: NDArray[np.int64] | None
    """Likewise, of the compared model."""


@dataclass
class Progress:
    """How far one bag is; with it an evaluation goes on where it stopped."""

    accumulator: Accumulator
    problems: Problems
    next_index: int = 0
    """Of the image to look at next."""
    time: DriveTime = field(default_factory=DriveTime)
    nearest_label_ns: int | None = None
    """From an image without a truth within the tolerance."""
    kept: Kept | None = None
    """In the image before."""
    loop_seconds: float = 0.0
    """Spent on the bag, the models included."""
    model_seconds: float = 0.0
    done: bool = False
    damage: tuple[str, ...] = ()
    """What the reader could not read, once done."""


@dataclass(frozen=True)
class BagEvaluation:
    """What `evaluate_one` gives and `merge` takes: plain data that goes from one machine to another."""

    summary: BagSummary
    rows: Rows
    classes: tuple[VocabularyEntry, ...]
    """Of the labels, in the order of their ids; empty without a label topic."""
    pixels: tuple[NDArray[np.int64], ...]
    """`Accumulator.pixels`."""
    worst: tuple[Candidate, ...]
    best: tuple[Candidate, ...]
    model: str
    device: str
    input_size: tuple[int, int]
    max_classes: int
    loop_seconds: float
    model_seconds: float


def start(plan: BagPlan, settings: Settings) -> Progress:
    """Nothing of a bag done yet."""
    classes = plan.label_key.classes if plan.label_key else ()
    return Progress(Accumulator([period.vocabulary for period in settings.periods], classes), Problems())


def evaluate_one(
    plan: BagPlan,
    settings: Settings,
    models: Models,
    progress: Progress | None = None,
    sink: FrameSink | None = None,
    go_on: Callable[[Progress], bool] = lambda progress: True,
) -> BagEvaluation:
    """Evaluate a bag; the same bag and settings give the same numbers, but for times.

    Args:
        plan: the bag, its topics and labels.
        settings: as `prepare` completed them.
        models: loaded for these settings.
        progress: where an earlier run stopped; it is carried on in place.
        sink: takes all messages of the bag and the results. It is closed here, or discarded when this fails or
            ends early.
        go_on: called after each image that was evaluated or skipped for a fault; False ends it early.

    Raises:
        InputError: the bag has no longer what the plan says, or the sink cannot write.
    """
    progress = start(plan, settings) if progress is None else progress
    if not progress.done:
        with BagReader(plan.path) as reader:
            try:
                _Run(plan, settings, models, progress, reader, sink).run(go_on)
            except BaseException:
                if sink is not None:
                    sink.discard()
                raise
            if sink is not None:
                if progress.done:
                    sink.close()
                else:
                    sink.discard()
            progress.damage = reader.problems
    return so_far(plan, settings, models, progress)


class _Run:
    """One bag, from the image where the progress stands."""

    def __init__(
        self,
        plan: BagPlan,
        settings: Settings,
        models: Models,
        progress: Progress,
        reader: BagReader,
        sink: FrameSink | None,
    ) -> None:
        self._plan, self._settings, self._models = plan, settings, models
        self._progress, self._reader, self._sink = progress, reader, sink
        self._stamped = is_stamped(reader, plan.image_topic)
        self._truths: Truths | None = None
        if plan.label_topic is not None and plan.label_key is not None:
            tolerance_ns = round(settings.tolerance_seconds * SECOND)
            self._truths = Truths(
                reader, plan.image_topic, plan.label_topic, plan.label_key, tolerance_ns, progress.problems
            )

    def run(self, go_on: Callable[[Progress], bool]) -> None:
        progress = self._progress
        started, seconds_before = time.perf_counter(), progress.loop_seconds
        for index, recorded in self._images():
            if index < progress.next_index:
                continue
            chosen = index % self._settings.stride == 0
            if chosen or progress.time.origin_ns is None:
                self._look_at(index, recorded, chosen)
            progress.next_index = index + 1
            progress.loop_seconds = seconds_before + time.perf_counter() - started
            if chosen and not go_on(progress):
                return
        progress.done = True

    def _images(self) -> Iterator[tuple[int, BagMessage]]:
        topic = self._plan.image_topic
        index = 0
        for recorded in self._reader.messages([topic] if self._sink is None else None):
            if self._sink is not None:
                self._sink.write_original(recorded)
            if recorded.topic == topic:
                yield index, recorded
                index += 1

    def _look_at(self, index: int, recorded: BagMessage, chosen: bool) -> None:
        """Evaluate a chosen image, or note why not; the first ones tell when the bag starts."""
        progress = self._progress
        try:
            message = self._reader.deserialize(recorded)
            stamp_ns = header_stamp(recorded.data) if self._stamped else recorded.time_ns
            seconds = progress.time.since_first(stamp_ns, recorded.time_ns) / SECOND
            if not chosen:
                return
            image = rgb_from_message(message)
            image = np.require(image, requirements="W")  # PyTorch warns of the bag's own read-only memory
        except InputError as error:
            if chosen:
                progress.problems.note("images that cannot be decoded", f"image {index}: {error}")
            return
        self._evaluate(_Image(index, recorded, message.header.frame_id, stamp_ns, seconds, image))

    def _evaluate(self, image: _Image) -> None:
        seconds_before = self._models.seconds
        period = self._models.period(image.seconds)
        kept = self._progress.kept
        if kept is None or kept.period != period:
            kept = Kept(period, None, None)
        result, latency_ms = self._models.segment(image.pixels, period, kept.own)
        other = self._models.segment_other(image.pixels, period, kept.other)
        self._progress.kept = Kept(period, result.selected, None if other is None else other.selected)
        self._progress.model_seconds += self._models.seconds - seconds_before
        if self._sink is not None:
            recorded_ns = image.recorded.time_ns
            self._sink.write_result(ComputedFrame(image.stamp_ns, image.frame_id, recorded_ns, image.pixels, result))
        self._progress.accumulator.add(
            Answer(
                index=image.index,
                stamp_ns=image.stamp_ns,
                seconds=image.seconds,
                vocabulary=period,
                latency_ms=latency_ms,
                image=image.pixels,
                mask=result.mask,
                confidence=result.confidence,
                truth=self._truth(image),
                other_mask=None if other is None else other.mask,
                other_vocabulary=None if other is None else other.vocabulary,
            )
        )

    def _truth(self, image: _Image) -> NDArray[np.uint16] | None:
        if self._truths is None:
            return None
        if image.stamp_ns == 0:
            self._progress.problems.note("images without a stamp, which tells no label", f"image {image.index}")
            return None
        height, width = image.pixels.shape[:2]
        truth = self._truths.of(image.index, image.stamp_ns, image.recorded.time_ns, (height, width))
        near, known = self._truths.nearest_ns, self._progress.nearest_label_ns
        self._progress.nearest_label_ns = min((n for n in (near, known) if n is not None), default=None)
        return truth


@dataclass(frozen=True)
class _Image:
    index: int
    recorded: BagMessage
    frame_id: str
    stamp_ns: int
    seconds: float
    pixels: NDArray[np.uint8]


def _unmatched(progress: Progress, settings: Settings) -> tuple[str, ...]:
    """Labels that are beside their images by more than the tolerance, said where no image has any."""
    nearest = progress.nearest_label_ns
    if nearest is None or progress.accumulator.labelled:
        return ()
    return (
        f"no image has a label within the tolerance of {settings.tolerance_seconds:g} s; the nearest one is "
        f"{nearest / SECOND:g} s away: choose another --tolerance",
    )


def so_far(plan: BagPlan, settings: Settings, models: Models, progress: Progress) -> BagEvaluation:
    """What a bag's evaluation has come to."""
    config = models.segmenter.config
    device = str(models.segmenter.device)
    return summarize(plan, settings, progress, config.name, device, config.input_size, config.max_classes)


def summarize(
    plan: BagPlan,
    settings: Settings,
    progress: Progress,
    model: str,
    device: str,
    input_size: tuple[int, int],
    max_classes: int,
) -> BagEvaluation:
    """What a bag's evaluation has come to, with a model that is known by its data."""
    accumulator = progress.accumulator
    problems = (*plan.problems, *progress.damage, *progress.problems.lines(), *_unmatched(progress, settings))
    seconds = accumulator.rows.column("seconds")
    return BagEvaluation(
        summary=BagSummary(
            name=plan.name,
            path=shown(plan.path),
            image_topic=plan.image_topic,
            label_topic=plan.label_topic,
            seconds=float(seconds.max(initial=0.0)),
            images=plan.images,
            evaluated=len(accumulator.rows),
            labelled=accumulator.labelled,
            problems=problems,
        ),
        rows=accumulator.rows,
        classes=accumulator.classes,
        pixels=tuple(accumulator.pixels),
        worst=accumulator.worst.chosen(),
        best=accumulator.best.chosen(),
        model=model,
        device=device,
        input_size=input_size,
        max_classes=max_classes,
        loop_seconds=progress.loop_seconds,
        model_seconds=progress.model_seconds,
    )

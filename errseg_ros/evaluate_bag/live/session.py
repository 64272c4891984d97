"""From the answers of the node to an evaluation, answer by answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from errseg_model.errors import InputError
from errseg_ros.bags import BagReader
from errseg_ros.class_ids import positions
from errseg_ros.evaluate_bag.accumulator import Answer
from errseg_ros.evaluate_bag.evaluator import start, summarize
from errseg_ros.evaluate_bag.live.assembly import LiveAnswer
from errseg_ros.evaluate_bag.live.images import BagImage, BagImages
from errseg_ros.evaluate_bag.live.listener import Listener
from errseg_ros.evaluate_bag.live.options import LiveOptions
from errseg_ros.evaluate_bag.merge import merge
from errseg_ros.evaluate_bag.plan import BagPlan, plan_bag
from errseg_ros.evaluate_bag.results import Evaluation, LiveTraffic, VocabularyPeriod
from errseg_ros.evaluate_bag.run import Interrupt
from errseg_ros.evaluate_bag.settings import Settings
from errseg_ros.evaluate_bag.truth import Truths
from errseg_ros.image_decoding import ids_from_image, rgb_from_message
from errseg_ros.ros_time import SECOND

_PATIENCE = 3.0  # a node that answers slowly is waited for so many times its longest latency


def evaluate_live(
    path: Path, settings: Settings, options: LiveOptions, interrupt: Interrupt, say: Callable[[str], None]
) -> Evaluation:
    """Evaluate what the node answers while somebody plays the bag; Ctrl-C ends it, as the end of the drive does.

    Args:
        path: the bag that is played; truths and pictures are read from it.
        settings: topics, labels and tolerance; the rest is the node's.
        options: where to listen.
        interrupt: tells of signals.
        say: takes a line for people.

    Raises InputError: the node is not there, or no image of the bag was answered.
    """
    started = time.perf_counter()
    plan = plan_bag(path, settings)
    topic = options.topic or plan.image_topic
    with (
        BagReader(path) as reader,
        Listener(options.node, options.camera, topic, reader.topics[plan.image_topic].type) as listener,
    ):
        session = _Session(plan, settings, reader, listener)
        if listener.wait_for_node(options.wait_seconds, lambda: interrupt.signal is not None):
            say(f"listening to {options.node}: now play the bag, for example with `replay_bag {path}`")
            session.run(options, interrupt)
        return session.evaluation(time.perf_counter() - started, by_hand=interrupt.signal is not None)


class _Session:
    """One bag while it is played."""

    def __init__(self, plan: BagPlan, settings: Settings, reader: BagReader, listener: Listener) -> None:
        self._plan, self._settings = plan, settings
        self._reader, self._listener = reader, listener
        self._images = BagImages(reader, plan.image_topic)
        self._progress = start(plan, replace(settings, periods=()))
        self._periods: list[VocabularyPeriod] = []
        self._truths: Truths | None = None
        if plan.label_topic is not None and plan.label_key is not None:
            tolerance_ns = round(settings.tolerance_seconds * SECOND)
            self._truths = Truths(
                reader, plan.image_topic, plan.label_topic, plan.label_key, tolerance_ns, self._progress.problems
            )
        self._longest_seconds = 0.0
        self._again = 0

    def run(self, options: LiveOptions, interrupt: Interrupt) -> None:
        """Until the drive is over."""
        assembly = self._listener.assembly
        with tqdm(total=self._plan.images, desc=self._plan.name, unit="image", disable=None) as bar:
            while interrupt.signal is None:
                answer = self._listener.next()
                if answer is not None:
                    self._longest_seconds = max(self._longest_seconds, answer.latency_ms / 1000)
                    self._take(answer)
                bar.n = assembly.published
                bar.set_postfix_str(f"{assembly.answered} answered")
                idle = time.monotonic() - self._listener.last_event
                patience = max(options.idle_seconds, _PATIENCE * self._longest_seconds)
                if answer is None and assembly.published and idle > patience:
                    break
            self._listener.stop()
            while (answer := self._listener.next()) is not None:  # those that came before
                self._take(answer)

    def evaluation(self, wall_seconds: float, by_hand: bool) -> Evaluation:
        """What it comes to. Raises InputError when nothing was answered."""
        assembly, listener, progress = self._listener.assembly, self._listener, self._progress
        assembly.finish()
        progress.damage = self._reader.problems
        if not len(progress.accumulator.rows):
            reasons = "; ".join(progress.problems.lines())
            raise InputError(
                f"of {assembly.published} images received, none of the bag was answered, so there is nothing to report"
                f"{f': {reasons}' if reasons else ''}"
            )
        facts = listener.facts
        assert facts is not None and assembly.first_ns is not None and assembly.last_ns is not None
        settings = replace(
            self._settings,
            periods=tuple(self._periods),
            confidence_threshold=assembly.threshold,
        )
        part = summarize(self._plan, settings, progress, facts.model, facts.device, facts.input_size, facts.max_classes)
        traffic = LiveTraffic(
            published=assembly.published,
            answered=assembly.answered,
            dropped=assembly.published - assembly.answered,
            seconds=(assembly.last_ns - assembly.first_ns) / SECOND,
        )
        evaluation = merge([part], settings, wall_seconds)
        return replace(evaluation, run_with={}, live=traffic, notes=(*evaluation.notes, *self._notes(by_hand)))

    def _take(self, answer: LiveAnswer) -> None:
        """Measure an answer to an image of the bag, or count why not."""
        problems = self._progress.problems
        image = self._images.find(answer.stamp_ns)
        if image is None:
            if self._images.has(answer.stamp_ns):
                self._again += 1
            else:
                problems.note("masks of no image of the bag", f"that with the stamp {answer.stamp_ns} ns")
            return
        try:
            message = self._reader.deserialize(image.recorded)
            pixels = rgb_from_message(message)
            mask = positions(ids_from_image(answer.mask), answer.ids)
            confidence = ids_from_image(answer.confidence)
            for name, found in (("mask", mask), ("confidence", confidence)):
                if found.shape != pixels.shape[:2]:
                    size = "{}x{}, its image {}x{}".format(*found.shape, *pixels.shape[:2])
                    raise InputError(f"its {name} is {size}")
        except InputError as error:
            problems.note("answers that cannot be used", f"that of image {image.index}: {error}")
            return
        self._progress.accumulator.add(
            Answer(
                index=image.index,
                stamp_ns=image.stamp_ns,
                seconds=image.seconds,
                vocabulary=self._period(answer, image.seconds),
                latency_ms=answer.latency_ms,
                image=pixels,
                mask=mask,
                confidence=np.multiply(confidence, 1 / 255, dtype=np.float32),
                truth=self._truth(image, (pixels.shape[0], pixels.shape[1])),
            )
        )

    def _truth(self, image: BagImage, size: tuple[int, int]) -> NDArray[np.uint16] | None:
        if self._truths is None:
            return None
        truth = self._truths.of(image.index, image.stamp_ns, image.recorded.time_ns, size)
        self._progress.nearest_label_ns = self._truths.nearest_ns
        return truth

    def _period(self, answer: LiveAnswer, seconds: float) -> int:
        """Position of the vocabulary that the mask was computed under; a change begins a period."""
        if not self._periods or self._periods[-1].vocabulary.names != answer.names:
            vocabulary = self._listener.vocabulary(answer.names)
            self._periods.append(VocabularyPeriod(seconds if self._periods else 0.0, vocabulary))
            self._progress.accumulator.add_vocabulary(vocabulary)
        return len(self._periods) - 1

    def _notes(self, by_hand: bool) -> tuple[str, ...]:
        assembly, images = self._listener.assembly, self._plan.images
        lost = max(images - assembly.published, 0)
        counted = {
            f"{lost} of the bag's {images} images did not reach evaluate_bag: played before it listened, or lost on "
            "the way.": lost,
            f"{assembly.strangers} masks are of images that did not reach evaluate_bag; they do not count.": (
                assembly.strangers
            ),
            f"{assembly.incomplete} masks came without confidence or class_scores; they count as answered only.": (
                assembly.incomplete
            ),
            f"{assembly.untimed} masks came before an image of which could not be told when it was sent; they count as "
            "answered only.": assembly.untimed,
            f"{self._listener.unseen} answers came faster than they could be evaluated; they count as answered "
            "only.": self._listener.unseen,
            f"{self._again} images were played again; they count as published and answered only.": self._again,
            "Ctrl-C ended it; an image in work then counts as dropped.": by_hand,
        }
        return (
            "Latency is from an image's arrival at evaluate_bag to its mask's; flicker is between answered images, "
            "which are further apart where others were dropped.",
            *(sentence for sentence, count in counted.items() if count),
        )

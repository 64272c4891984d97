"""Whether what the node published is right: pure judgement of what was seen, without ROS."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

WRONG_LABEL = "wrong label"
LATE_CHANGE = "late change"
UNSTABLE_ID = "unstable id"


@dataclass(frozen=True)
class Words:
    """What masks are to be computed under."""

    names: tuple[str, ...]
    threshold: float


@dataclass(frozen=True)
class Change:
    """A change that was accepted, in nanoseconds of the system's clock."""

    words: Words
    asked_ns: int
    replied_ns: int


@dataclass(frozen=True)
class Labels:
    """A label_info."""

    written_ns: int
    """When the node published it."""
    ids: dict[str, int]
    """In the order of the vocabulary."""
    threshold: float


@dataclass(frozen=True)
class Answer:
    """What came for one image: mask, confidence and class_scores of one camera with one stamp."""

    camera: str
    stamp_ns: int
    """When the image was published."""
    written_ns: int
    """When the node published the mask."""
    names: tuple[str, ...]
    """Those of class_scores."""
    ids: frozenset[int]
    """All that are in the mask, without the unlabelled one."""
    least_labelled: int | None
    """Lowest confidence, 0..255, of a pixel with a class; None where there is none."""
    most_unlabelled: int | None
    """Highest confidence of a pixel without one."""


@dataclass(frozen=True)
class Fault:
    """Something that must not be."""

    kind: str
    text: str


def judge(answers: Sequence[Answer], labels: Sequence[Labels], changes: Sequence[Change]) -> list[Fault]:
    """Every fault of every answer.

    Args:
        answers: in any order.
        labels: in the order in which they were published.
        changes: in the order in which they were asked for, the words at the start as the first one. Neighbours
            differ.
    """
    written = [each.written_ns for each in labels]
    faults = _unstable_ids(labels)
    for answer in answers:
        where = f"{answer.camera} at {answer.stamp_ns}"
        position = bisect_right(written, answer.written_ns) - 1
        if position < 0:
            faults.append(Fault(WRONG_LABEL, f"{where}: a mask came before any label_info"))
            continue
        in_force = labels[position]
        problem = _wrong_label(answer, in_force)
        if problem is not None:
            faults.append(Fault(WRONG_LABEL, f"{where}: {problem}"))
        elif not _is_in_time(answer, in_force, changes):
            faults.append(Fault(LATE_CHANGE, f"{where}: the mask is under {_shown(in_force)}"))
    return faults


def delays_ms(answers: Sequence[Answer], changes: Sequence[Change]) -> list[float]:
    """From the reply to every change to the first mask that was published for an image stamped after it."""
    ordered = sorted(answers, key=lambda answer: answer.stamp_ns)
    stamps = [answer.stamp_ns for answer in ordered]
    found = []
    for change in changes:
        later = ordered[bisect_right(stamps, change.replied_ns) :]
        if later:
            found.append((min(answer.written_ns for answer in later) - change.replied_ns) / 1e6)
    return found


def _wrong_label(answer: Answer, labels: Labels) -> str | None:
    if answer.names != tuple(labels.ids):
        return f"class_scores names {', '.join(answer.names[:3])}..., label_info {', '.join(list(labels.ids)[:3])}..."
    unknown = answer.ids - set(labels.ids.values())
    if unknown:
        return f"the mask has ids {sorted(unknown)[:5]}, which label_info does not have"
    grey = round(255 * labels.threshold)  # confidences are rounded in the same way
    if answer.least_labelled is not None and answer.least_labelled < grey:
        return f"a pixel of confidence {answer.least_labelled}/255 has a label, the threshold is {labels.threshold}"
    if answer.most_unlabelled is not None and answer.most_unlabelled > grey:
        return (
            f"a pixel of confidence {answer.most_unlabelled}/255 is not labelled, the threshold is {labels.threshold}"
        )
    return None


def _is_in_time(answer: Answer, labels: Labels, changes: Sequence[Change]) -> bool:
    """An image that was published after a reply is computed under that change, or a later one."""
    words = Words(tuple(labels.ids), labels.threshold)
    newest = max(bisect_left([change.replied_ns for change in changes], answer.stamp_ns) - 1, 0)
    return any(change.words == words and change.asked_ns <= answer.written_ns for change in changes[newest:])


def _unstable_ids(labels: Sequence[Labels]) -> list[Fault]:
    ids: dict[str, int] = {}
    names: dict[int, str] = {}
    faults = []
    for each in labels:
        for name, number in each.ids.items():
            if ids.setdefault(name, number) != number:
                faults.append(Fault(UNSTABLE_ID, f"{name!r} had id {ids[name]} and has {number}"))
            if names.setdefault(number, name) != name:
                faults.append(Fault(UNSTABLE_ID, f"id {number} was {names[number]!r} and is {name!r}"))
    return faults


def _shown(labels: Labels) -> str:
    return f"{', '.join(list(labels.ids)[:3])}... with threshold {labels.threshold}"


@dataclass(frozen=True)
class Sample:
    """What the node's process has at one time."""

    seconds: float
    """Since the first sample."""
    resident_mb: float
    private_mb: float
    """The part of it that is not shared memory of the middleware, nor a file."""
    threads: int
    files: int
    """Open file descriptors."""


@dataclass(frozen=True)
class Growth:
    """How much the process grew after the warm-up."""

    first_mb: float
    """Median resident memory of the first window after the warm-up."""
    last_mb: float
    """Median of the last window."""
    trend_mb_per_minute: float
    """Slope of the line through all samples after the warm-up."""
    private_first_mb: float
    private_last_mb: float
    threads: tuple[int, int]
    """Least and most after the warm-up."""
    files: tuple[int, int]

    @property
    def percent(self) -> float:
        """Of the resident memory."""
        return 100 * (self.last_mb - self.first_mb) / self.first_mb


def growth(samples: Sequence[Sample], warm_up: float = 60.0, window: float = 60.0) -> Growth:
    """Leaves out `warm_up` seconds; of a short run a third, with windows of a third of the rest.

    Raises ValueError for fewer than six samples.
    """
    if len(samples) < 6:
        raise ValueError(f"expected six samples or more, got {len(samples)}")
    end = samples[-1].seconds
    warm_up = min(warm_up, end / 3)
    window = min(window, (end - warm_up) / 3)
    kept = [sample for sample in samples if sample.seconds >= warm_up]
    first = [sample for sample in kept if sample.seconds <= warm_up + window]
    last = [sample for sample in kept if sample.seconds >= end - window]
    slope = statistics.linear_regression([s.seconds for s in kept], [s.resident_mb for s in kept]).slope
    threads, files = [s.threads for s in kept], [s.files for s in kept]
    return Growth(
        first_mb=statistics.median(s.resident_mb for s in first),
        last_mb=statistics.median(s.resident_mb for s in last),
        trend_mb_per_minute=60 * slope,
        private_first_mb=statistics.median(s.private_mb for s in first),
        private_last_mb=statistics.median(s.private_mb for s in last),
        threads=(min(threads), max(threads)),
        files=(min(files), max(files)),
    )

"""The evaluations of single bags become one, whichever machine each was made on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_ros.evaluate_bag.evaluator import BagEvaluation
from errseg_ros.evaluate_bag.exhibits import EXHIBITS, Candidate, Pictures
from errseg_ros.evaluate_bag.labels import folding, match_classes, united
from errseg_ros.evaluate_bag.results import Evaluation, Exhibit, FrameResult, Truth
from errseg_ros.evaluate_bag.settings import Settings


def merge(
    parts: Sequence[BagEvaluation],
    settings: Settings,
    wall_seconds: float,
    interrupted: bool = False,
    side_by_side: bool = False,
) -> Evaluation:
    """One evaluation over all bags, in their order; at least one of them."""
    vocabularies = [period.vocabulary for period in settings.periods]
    frames = {part.summary.name: tuple(part.rows.results(part.summary.name, vocabularies)) for part in parts}
    worst, best = _exhibits(parts, frames)
    comparison = settings.comparison
    first = parts[0]
    return Evaluation(
        model=first.model,
        device=", ".join(sorted({part.device for part in parts})),
        input_size=first.input_size,
        max_classes=first.max_classes,
        confidence_threshold=settings.confidence_threshold,
        stride=settings.stride,
        vocabularies=settings.periods,
        bags=tuple(part.summary for part in parts),
        frames=tuple(frame for part in parts for frame in frames[part.summary.name]),
        truth=_truth(parts, settings),
        worst=worst,
        best=best,
        compared_with=None if comparison is None else comparison.in_words(settings.model),
        wall_seconds=wall_seconds,
        loop_seconds=sum(part.loop_seconds for part in parts),
        model_seconds=sum(part.model_seconds for part in parts),
        run_with={name: str(value) for name, value in settings.model.completed().way_of_running.items()},
        side_by_side=side_by_side,
        interrupted=interrupted,
    )


def _truth(parts: Sequence[BagEvaluation], settings: Settings) -> Truth | None:
    """Over all bags. Their labels may have different classes: an entry of a vocabulary means one of all of them, also
    in bags whose labels lack that one, where it is then always wrong."""
    classes = united(entry for part in parts for entry in part.classes)
    if not classes:
        return None
    confusion = ConfusionMatrix(len(classes))
    places = {entry.key: place for place, entry in enumerate(classes)}
    rows = [[places[entry.key] for entry in part.classes] for part in parts]
    in_force = []
    for number, period in enumerate(settings.periods):
        pixels = np.zeros((len(classes), len(period.vocabulary) + 1), np.int64)
        for part, of_part in zip(parts, rows, strict=True):
            pixels[of_part] += part.pixels[number]
        if pixels.any():
            in_force.append(number)
            confusion.counts += pixels @ folding(period.vocabulary, classes)
    meant = [match_classes(period.vocabulary, classes) for period in settings.periods]
    in_force = in_force or list(range(len(meant)))
    lacking = [[number for number in in_force if place not in meant[number]] for place in range(len(classes))]
    surplus = {
        entry.name: None
        for number in in_force
        for entry, place in zip(settings.periods[number].vocabulary.entries, meant[number], strict=True)
        if place == len(classes)
    }
    return Truth(
        classes=tuple(entry.name for entry in classes),
        confusion=confusion,
        missing_in_vocabulary=tuple(
            entry.name for entry, numbers in zip(classes, lacking, strict=True) if numbers == in_force
        ),
        missing_for_a_time={
            entry.name: tuple(number + 1 for number in numbers)
            for entry, numbers in zip(classes, lacking, strict=True)
            if numbers and numbers != in_force
        },
        missing_in_labels=tuple(surplus),
        tolerance_seconds=settings.tolerance_seconds,
    )


def _exhibits(
    parts: Sequence[BagEvaluation], frames: dict[str, tuple[FrameResult, ...]]
) -> tuple[tuple[Exhibit, ...], tuple[Exhibit, ...]]:
    """The worst and the best of all bags; no image is in both."""
    worst = [(c, frames[part.summary.name][c.row]) for part in parts for c in part.worst]
    best = [(c, frames[part.summary.name][c.row]) for part in parts for c in part.best]
    if any(candidate.labelled for candidate, _ in worst):
        worst, best = ([entry for entry in entries if entry[0].labelled] for entries in (worst, best))
    worst.sort(key=lambda entry: entry[0].score)
    best.sort(key=lambda entry: -entry[0].score)
    different = {(frame.bag, frame.index): candidate.score for candidate, frame in (*worst, *best)}
    # Of few images the better half is no longer among the worst.
    half = -(-len(different) // 2)
    lower = set(sorted(different, key=lambda place: different[place])[:half])
    worst = [entry for entry in worst if (entry[1].bag, entry[1].index) in lower]
    best = [entry for entry in best if (entry[1].bag, entry[1].index) not in lower]
    return tuple(_exhibit(*entry) for entry in worst[:EXHIBITS]), tuple(_exhibit(*entry) for entry in best[:EXHIBITS])


def without_spare_pictures(parts: Sequence[BagEvaluation]) -> list[BagEvaluation]:
    """The same, but for pictures that `merge` chooses in no case, so that many bags fit into memory."""
    worst = _without_spare([part.worst for part in parts], 1)
    best = _without_spare([part.best for part in parts], -1)
    return [replace(part, worst=w, best=b) for part, w, b in zip(parts, worst, best, strict=True)]


def _without_spare(shelves: Sequence[tuple[Candidate, ...]], sign: int) -> list[tuple[Candidate, ...]]:
    """`sign`: 1 where the lowest score is first, else -1. Of equal ones any may be chosen."""

    def rank(candidate: Candidate) -> tuple[bool, float]:
        return not candidate.labelled, sign * candidate.score

    first = sorted(rank(candidate) for shelf in shelves for candidate in shelf)[:EXHIBITS]
    return [tuple(c if rank(c) <= first[-1] else replace(c, pictures=_NOTHING) for c in shelf) for shelf in shelves]


_NOTHING = Pictures(np.zeros((0, 0, 3), np.uint8), None, np.zeros((0, 0, 3), np.uint8), {})


def _exhibit(candidate: Candidate, frame: FrameResult) -> Exhibit:
    pictures = candidate.pictures
    return Exhibit(frame, pictures.image, pictures.truth, pictures.mask, pictures.colours, pictures.wrong)

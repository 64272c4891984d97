"""Evaluations that are made up, for the tests of the report: small pictures, the real arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.visualization import palette
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_ros.evaluate_bag.results import (
    BagSummary,
    Evaluation,
    Exhibit,
    FrameResult,
    LiveTraffic,
    Truth,
    VocabularyPeriod,
)

STREET = ("sky", "building", "road", "car", "pole", "person")
HOSTILE = (
    "<script>alert('class')</script>",
    'a "quoted" & <b>bold</b> name',
    "{{ 7 * 7 }} {% raw %}",
    "$x_1$ and \\frac",
    "车道 سيارة 🚗",
    "w" * 200,
)
HEIGHT, WIDTH = 24, 32
RATE_HZ = 10.0
START_NS = 1_700_000_000_000_000_000


def make(
    bags: Sequence[str] = ("drive",),
    frames: int = 8,
    classes: Sequence[str] = STREET,
    changes_at: float | None = None,
    labelled: bool = True,
    compared: bool = False,
    seed: int = 0,
) -> Evaluation:
    """A drive in stripes of the classes, a tenth of whose pixels are segmented wrongly.

    `changes_at`: seconds after which the vocabulary has other words for the first class, and one class more.
    """
    first = Vocabulary(tuple(VocabularyEntry(name) for name in classes))
    periods = [VocabularyPeriod(0.0, first)]
    if changes_at is not None:
        entries = [VocabularyEntry(classes[0], ("heavens",)), *first.entries[1:], VocabularyEntry("dragon")]
        periods.append(VocabularyPeriod(changes_at, Vocabulary(tuple(entries))))
    rng = np.random.default_rng(seed)
    confusion = ConfusionMatrix(len(classes))
    results: list[FrameResult] = []
    exhibits: list[Exhibit] = []
    summaries = []
    for bag in bags:
        before: NDArray[np.int64] | None = None
        for index in range(frames):
            seconds = index / RATE_HZ
            in_force = sum(seconds >= period.since for period in periods) - 1
            truth, mask = _pictures(rng, len(classes), index)
            own = ConfusionMatrix(len(classes))
            own.update(truth, mask)
            confusion.counts += own.counts
            changed = before is not None and results[-1].vocabulary == in_force
            result = FrameResult(
                bag=bag,
                index=index,
                stamp_ns=START_NS + round(seconds * 1e9),
                seconds=seconds,
                vocabulary=in_force,
                latency_ms=float(rng.normal(120.0, 10.0)),
                confidence=float(rng.uniform(0.6, 0.9)),
                unlabelled=float((mask == len(classes)).mean()),
                shares={classes[k]: float((mask == k).mean()) for k in np.unique(mask) if k < len(classes)},
                flicker=float((mask != before).mean()) if changed else None,
                disagreement=float(rng.uniform(0.0, 0.1)) if compared else None,
                pixel_accuracy=own.pixel_accuracy() if labelled else None,
                miou=own.miou() if labelled else None,
            )
            before = mask
            results.append(result)
            if index < 2 and bag == bags[0]:
                exhibits.append(_exhibit(result, periods[0].vocabulary, truth if labelled else None, mask))
        summaries.append(
            BagSummary(
                name=bag,
                path=f"/data/{bag}",
                image_topic="/camera/image",
                label_topic="/labels" if labelled else None,
                seconds=(frames - 1) / RATE_HZ if frames else 0.0,
                images=frames,
                evaluated=frames,
                labelled=frames if labelled else 0,
            )
        )
    comparison = Truth(tuple(classes), confusion, (), {}, ("dragon",) if changes_at is not None else (), 0.05)
    return Evaluation(
        model="errseg-lite",
        device="cpu",
        input_size=(480, 640),
        max_classes=32,
        confidence_threshold=0.1,
        stride=1,
        vocabularies=tuple(periods),
        bags=tuple(summaries),
        frames=tuple(results),
        truth=comparison if labelled else None,
        worst=tuple(exhibits[:1]),
        best=tuple(exhibits[1:2]),
        compared_with="the model errseg-b" if compared else None,
        wall_seconds=2.5,
    )


@pytest.fixture
def make_evaluation() -> Callable[..., Evaluation]:
    """Makes a drive in stripes; see `make`."""
    return make


@pytest.fixture
def troubled() -> Evaluation:
    """One that has everything to tell: hostile words, damage, live traffic, an early end."""
    whole = make(bags=("<img src=x onerror=alert(1)>", "zweite fahrt"), classes=HOSTILE, changes_at=0.4, compared=True)
    assert whole.truth is not None
    first, second = whole.bags
    damage = ("bag.mcap ends in the middle of a record: 7 of 12 images were read", "<script>alert('problem')</script>")
    return dataclasses.replace(
        whole,
        bags=(dataclasses.replace(first, problems=damage), dataclasses.replace(second, labelled=6)),
        truth=dataclasses.replace(whole.truth, missing_in_vocabulary=tuple(f"missing {n}" for n in range(30))),
        live=LiveTraffic(published=20, answered=16, dropped=4, seconds=1.6),
        interrupted=True,
        notes=("The node's <i>own</i> threshold was in force.",),
    )


@pytest.fixture
def hostile() -> tuple[str, ...]:
    """The classes of `troubled`."""
    return HOSTILE


def _pictures(rng: np.random.Generator, classes: int, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels in vertical stripes that wander, and a mask that is wrong, or without a class, here and there."""
    stripes = (np.arange(WIDTH) + index) * classes // WIDTH % classes
    truth = np.broadcast_to(stripes, (HEIGHT, WIDTH)).astype(np.int64)
    wrong = rng.random(truth.shape) < 0.1
    mask = np.where(wrong, rng.integers(0, classes + 1, truth.shape), truth)
    return truth, mask


def _exhibit(
    frame: FrameResult, vocabulary: Vocabulary, truth: NDArray[np.int64] | None, mask: NDArray[np.int64]
) -> Exhibit:
    colours = np.concatenate([palette(vocabulary), np.zeros((1, 3), np.uint8)])
    found = np.unique(mask if truth is None else np.concatenate([truth, mask]))
    named = {vocabulary.names[k]: tuple(colours[k].tolist()) for k in found if k < len(vocabulary)}
    enlarged = [
        None if p is None else cv2.resize(colours[p], None, fx=10, fy=10, interpolation=cv2.INTER_NEAREST)
        for p in (truth, mask)
    ]
    assert enlarged[1] is not None
    image = np.full_like(enlarged[1], 128)
    wrong = None if truth is None else cv2.resize((truth != mask).astype(np.uint8), enlarged[1].shape[1::-1]) > 0
    return Exhibit(frame, image, enlarged[0], enlarged[1], named, wrong)

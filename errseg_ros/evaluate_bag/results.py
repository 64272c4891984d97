"""What an evaluation of recorded drives comes to: plain data that the computing side fills and the report reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.vocabulary import Vocabulary


@dataclass(frozen=True)
class FrameResult:
    """One evaluated image: a row of the table of frames."""

    bag: str
    """Name of its bag, unique in the evaluation."""
    index: int
    """Position among the images of its topic, from 0."""
    stamp_ns: int
    """Header stamp."""
    seconds: float
    """Since the first image of its bag."""
    vocabulary: int
    """Position in `Evaluation.vocabularies` of the one in force."""
    latency_ms: float
    """Image in memory to result in memory; with a live node, image received to mask received, here."""
    confidence: float
    """Mean over the labelled pixels, 0..1; 0 where there are none."""
    unlabelled: float
    """Share of pixels below the threshold, 0..1."""
    shares: Mapping[str, float]
    """Of the pixels, 0..1, by class; classes without pixels may be left out."""
    flicker: float | None = None
    """Share of pixels whose class changed since the previous evaluated image; None for a bag's first image, after
    another size and after a change of the vocabulary."""
    disagreement: float | None = None
    """Share of pixels that the compared model or vocabulary calls otherwise."""
    pixel_accuracy: float | None = None
    """Over the pixels whose truth counts; None without truth."""
    miou: float | None = None
    """Over the classes that truth or prediction of this image has; None without truth."""


@dataclass(frozen=True)
class BagSummary:
    """One bag and what was read of it."""

    name: str
    path: str
    image_topic: str
    label_topic: str | None
    seconds: float
    """From its first image to the last one evaluated."""
    images: int
    """On the topic, as the bag's index says."""
    evaluated: int
    labelled: int
    """Evaluated images that have a truth within the tolerance."""
    problems: tuple[str, ...] = ()
    """One line for everything that could not be read or used: damage, undecodable images, labels of another size."""


@dataclass(frozen=True)
class VocabularyPeriod:
    """A vocabulary and the time from which on it is in force."""

    since: float
    """Seconds since the first image of each bag; 0 for the first."""
    vocabulary: Vocabulary


@dataclass(frozen=True)
class Exhibit:
    """One image shown in the report, pictures side by side."""

    frame: FrameResult
    image: NDArray[np.uint8]
    """(H, W, 3) RGB, as all pictures here."""
    truth: NDArray[np.uint8] | None
    """In the colours of the classes; None without truth."""
    mask: NDArray[np.uint8]
    """In the same colours."""
    colours: Mapping[str, tuple[int, int, int]]
    """RGB of the classes that truth or mask show."""
    wrong: NDArray[np.bool_] | None = None
    """(H, W) where the mask is wrong; None without truth."""


@dataclass(frozen=True)
class Truth:
    """The comparison with labels, over all bags."""

    classes: tuple[str, ...]
    """Of the labels, in the order of their ids."""
    confusion: ConfusionMatrix
    missing_in_vocabulary: tuple[str, ...]
    """Classes of the labels that no vocabulary of a labelled image has; their pixels count as wrong."""
    missing_for_a_time: Mapping[str, tuple[int, ...]]
    """By name classes of the labels that only some vocabularies of labelled images lack; their numbers, from 1."""
    missing_in_labels: tuple[str, ...]
    """Classes of the vocabularies that the labels lack."""
    tolerance_seconds: float

    @property
    def compared(self) -> bool:
        """Whether any pixel was: labels may all be too far in time, or of no use."""
        return bool(self.confusion.counts.any())


@dataclass(frozen=True)
class LiveTraffic:
    """What a running node made of the images that were published to it."""

    published: int
    answered: int
    dropped: int
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows."""

    model: str
    device: str
    input_size: tuple[int, int]
    max_classes: int
    confidence_threshold: float
    stride: int
    vocabularies: tuple[VocabularyPeriod, ...]
    bags: tuple[BagSummary, ...]
    frames: tuple[FrameResult, ...]
    """Ordered by bag and index."""
    truth: Truth | None
    worst: tuple[Exhibit, ...]
    """By mIoU where any image was compared with its truth, else by confidence; worst first."""
    best: tuple[Exhibit, ...]
    """Best first."""
    compared_with: str | None
    """What `disagreement` is measured against, in words."""
    wall_seconds: float
    """The evaluation took, everything included."""
    loop_seconds: float = 0.0
    """From the first image of each bag on, without loading the model, summed over the bags."""
    model_seconds: float = 0.0
    """Of these, in the model, and in the compared one; the rest is reading, matching and metrics."""
    run_with: Mapping[str, str] = field(default_factory=dict)
    """By name how the model was run, such as its backend; empty where that is the node's."""
    live: LiveTraffic | None = None
    side_by_side: bool = False
    """Bags were evaluated at the same time, so that `loop_seconds` may be longer than it took."""
    interrupted: bool = False
    """Ctrl-C ended it early: what follows is of the images until then."""
    notes: tuple[str, ...] = field(default=())
    """Other things the reader must know, a sentence each."""

    @property
    def frames_per_second(self) -> float | None:
        """Masks that a node sent by the time played; without one frames by the time of the work itself."""
        if self.live is not None:
            frames, seconds = self.live.answered, self.live.seconds
        else:
            frames = len(self.frames)
            seconds = self.wall_seconds if self.side_by_side else self.loop_seconds or self.wall_seconds
        return frames / seconds if seconds > 0 else None

"""What the node answers during a replay, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vision_msgs.msg import LabelInfo

from errseg_model.errors import InputError
from errseg_model.vocabulary import Vocabulary
from errseg_ros import class_ids
from errseg_ros.answers import Answers, Parts
from errseg_ros.client import Request
from errseg_ros.image_decoding import ids_from_image
from errseg_ros.ros_time import SECOND


class ReplayError(RuntimeError):
    """The node does not do what it should; the message says what was expected."""


@dataclass(frozen=True)
class Answer:
    """What came back for one image."""

    frame: int
    """Position of the image in its source."""
    sent_ns: int
    """The image's header stamp: the time at which it was published."""
    latency_ms: float
    """From that stamp to the moment at which the mask was received."""
    vocabulary: Vocabulary
    """That the mask was computed under, as its class_scores say."""
    mask: NDArray[np.uint16]
    """(H, W) positions in the vocabulary, or UNLABELLED."""
    confidence: float
    """Mean over the confidence image, 0..1."""


@dataclass(frozen=True)
class Recording:
    """Everything that a replay gave."""

    shown: int
    """Images published."""
    seconds: float
    """From the first image to the last."""
    answers: tuple[Answer, ...]
    """In the order of their images."""
    versions: tuple[int, int]
    """`database_version` before and after the change."""
    ids: tuple[tuple[int, ...], tuple[int, ...]]
    """Class ids of the two vocabularies."""
    reply_ms: float
    """From the request to change the vocabulary to the reply of the parameter service."""
    first_mask_ms: float
    """From that request to the first mask under the new vocabulary."""
    change: int
    """Position in `answers` of the first one under the new vocabulary."""


@dataclass(frozen=True)
class _Sent:
    """An image that was published: its position in the source, its (height, width)."""

    frame: int
    size: tuple[int, int]


@dataclass
class Inbox:
    """What was sent and what has come back so far."""

    sent: dict[int, _Sent] = field(default_factory=dict)
    """By header stamp, as the answers."""
    answers: Answers = field(default_factory=Answers)
    """All of them; masks with the time at which they were received."""
    labels: list[LabelInfo] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def add_sent(self, stamp_ns: int, frame: int, size: tuple[int, int]) -> None:
        """An image is published."""
        self.sent[stamp_ns] = _Sent(frame, size)

    @property
    def count(self) -> int:
        """Images that are answered completely."""
        return sum(parts.are_complete for parts in self.answers.parts.values())

    def is_answered(self, stamp_ns: int) -> bool:
        """Whether all outputs of an image have come."""
        return stamp_ns in self.answers.parts and self.answers.parts[stamp_ns].are_complete

    def has(self, vocabulary: Vocabulary, frame: int | None = None) -> bool:
        """Whether an image, or this frame, is answered under the vocabulary."""
        return any(
            frame in (None, sent.frame)
            and self.is_answered(stamp)
            and self.answers.parts[stamp].names == vocabulary.names
            for stamp, sent in self.sent.items()
        )

    def recording(self, before: Vocabulary, after: Vocabulary, change: Request) -> Recording:
        """What all of it comes to. Raises ReplayError where a mask is not what its labels say."""
        ids = {words: self._ids(words) for words in (before, after)}
        answers = []
        for stamp, sent in self.sent.items():
            if self.is_answered(stamp):
                parts = self.answers.parts[stamp]
                words = next((words for words in ids if words.names == parts.names), None)
                if words is None:
                    named = ", ".join(parts.names or ())
                    raise ReplayError(f"class_scores of frame {sent.frame} name neither vocabulary: {named}")
                answers.append(_answer(sent, parts, words, ids[words]))
        first = next(number for number, answer in enumerate(answers) if answer.vocabulary is after)
        first_mask_ns = answers[first].sent_ns + answers[first].latency_ms * 1e6
        return Recording(
            shown=len(self.sent),
            seconds=(max(self.sent) - min(self.sent)) / SECOND,
            answers=tuple(answers),
            versions=(self.versions[0], self.versions[-1]),
            ids=(ids[before], ids[after]),
            reply_ms=change.reply_ms,
            first_mask_ms=(first_mask_ns - change.asked_ns) / 1e6,
            change=first,
        )

    def _ids(self, vocabulary: Vocabulary) -> tuple[int, ...]:
        """Class ids of the vocabulary, from its label_info."""
        for labels in self.labels:
            if tuple(label.class_name for label in labels.class_map) == vocabulary.names:
                return tuple(label.class_id for label in labels.class_map)
        raise ReplayError(f"no label_info has come for the vocabulary {', '.join(vocabulary.names)}")


def _answer(sent: _Sent, parts: Parts, vocabulary: Vocabulary, ids: tuple[int, ...]) -> Answer:
    latency_ms = (parts.mask_ns - parts.stamp_ns) / 1e6
    mask = positions(parts.mask, ids)
    if mask.shape != sent.size:
        raise ReplayError(f"the mask of frame {sent.frame} is {mask.shape}, its image {sent.size}")
    confidence = float(ids_from_image(parts.confidence).mean()) / 255
    return Answer(sent.frame, parts.stamp_ns, latency_ms, vocabulary, mask, confidence)


def positions(message: Any, ids: tuple[int, ...]) -> NDArray[np.uint16]:
    """The mask in positions of a vocabulary with these ids. Raises ReplayError for any other id."""
    try:
        return class_ids.positions(ids_from_image(message), ids)
    except InputError as error:
        raise ReplayError(str(error)) from None

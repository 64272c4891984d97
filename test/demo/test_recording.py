from __future__ import annotations

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, LabelInfo, ObjectHypothesis, VisionClass

from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary
from errseg_ros.client import Request
from errseg_ros.demo.recording import Inbox, ReplayError, positions
from errseg_ros.ros_time import SECOND


def mask_message(ids: list[list[int]], encoding: str) -> Image:
    pixels = np.array(ids, np.uint8 if encoding == "mono8" else np.uint16)
    height, width = pixels.shape
    return Image(
        height=height,
        width=width,
        step=width * pixels.itemsize,
        encoding=encoding,
        data=array.array("B", pixels.tobytes()),
    )


@pytest.mark.parametrize(
    ("encoding", "ids", "pixels", "expected"),
    [
        ("mono8", (0, 1, 2), [[0, 1], [2, 255]], [[0, 1], [2, UNLABELLED]]),
        ("mono8", (0, 11, 4), [[11, 4, 0]], [[1, 2, 0]]),
        ("mono16", (0, 300), [[300, 0, 65535]], [[1, 0, UNLABELLED]]),
    ],
)
def test_ids_become_positions(
    encoding: str, ids: tuple[int, ...], pixels: list[list[int]], expected: list[list[int]]
) -> None:
    mask = positions(mask_message(pixels, encoding), ids)
    assert mask.dtype == np.uint16
    np.testing.assert_array_equal(mask, expected)


def test_id_of_another_vocabulary_is_an_error() -> None:
    with pytest.raises(ReplayError, match=r"ids \[1, 7\]"):
        positions(mask_message([[0, 1, 7, 255]], "mono8"), (0, 2, 3))


def filled_inbox(scores: tuple[str, ...] = ("sea", "sky"), size: tuple[int, int] = (1, 2)) -> Inbox:
    """Frame 0 is answered under `sky; road`, frame 1 without scores, frame 2 under `sea; sky`."""
    inbox = Inbox(versions=[1, 2])
    inbox.labels.append(label_info({"sky": 0, "road": 1}))
    inbox.labels.append(label_info({"sea": 2, "sky": 0}))
    for frame, names in ((0, ("sky", "road")), (1, ()), (2, scores)):
        inbox.add_sent(frame * SECOND, frame, size)
        header = Header(stamp=Time(sec=frame))
        mask, confidence = mask_message([[0, 255]], "mono8"), mask_message([[255, 51]], "mono8")
        mask.header = confidence.header = header
        inbox.answers.add_mask(mask, frame * SECOND + 100_000_000)
        inbox.answers.add_confidence(confidence)
        if names:
            results = [ObjectHypothesis(class_id=name, score=0.5) for name in names]
            inbox.answers.add_scores(Classification(header=header, results=results))
    return inbox


def label_info(ids: dict[str, int]) -> LabelInfo:
    return LabelInfo(class_map=[VisionClass(class_id=number, class_name=name) for name, number in ids.items()])


BEFORE = Vocabulary.from_argument("sky; road")
AFTER = Vocabulary.from_argument("sea; sky")


def test_inbox_knows_what_is_answered() -> None:
    inbox = filled_inbox()
    assert inbox.count == 2
    assert [inbox.is_answered(frame * SECOND) for frame in (0, 1, 2, 3)] == [True, False, True, False]
    assert inbox.has(BEFORE)
    assert inbox.has(BEFORE, 0)
    assert not inbox.has(BEFORE, 2)
    assert inbox.has(AFTER, 2)
    assert not inbox.has(Vocabulary.from_argument("road; sky"))


def test_recording_of_an_inbox() -> None:
    recording = filled_inbox().recording(BEFORE, AFTER, Request(asked_ns=SECOND, replied_ns=SECOND + 5_000_000))
    assert (recording.shown, recording.seconds, recording.change) == (3, 2.0, 1)
    assert recording.versions == (1, 2)
    assert recording.ids == ((0, 1), (2, 0))
    assert recording.reply_ms == pytest.approx(5)
    first, second = recording.answers
    assert (first.frame, first.vocabulary, first.mask.tolist()) == (0, BEFORE, [[0, UNLABELLED]])
    assert (second.frame, second.vocabulary, second.mask.tolist()) == (2, AFTER, [[1, UNLABELLED]])
    assert first.confidence == pytest.approx(0.6)
    assert (first.latency_ms, second.latency_ms) == (100, 100)
    assert recording.first_mask_ms == pytest.approx(1100)


@pytest.mark.parametrize(
    ("inbox", "after", "message"),
    [
        (filled_inbox(scores=("sea", "road")), AFTER, "frame 2 name neither vocabulary: sea, road"),
        (filled_inbox(size=(2, 1)), AFTER, r"is \(1, 2\), its image \(2, 1\)"),
        (filled_inbox(), Vocabulary.from_argument("moon"), "no label_info has come for the vocabulary moon"),
    ],
)
def test_wrong_answers_are_errors(inbox: Inbox, after: Vocabulary, message: str) -> None:
    with pytest.raises(ReplayError, match=message):
        inbox.recording(BEFORE, after, Request(asked_ns=0))

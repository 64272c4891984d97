from __future__ import annotations

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, LabelInfo, ObjectHypothesis, VisionClass, VisionInfo

from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary
from errseg_ros.demo.recording import Change, Inbox, ReplayError, positions
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
    inbox = Inbox()
    inbox.add_version(VisionInfo(database_version=1))
    inbox.labels.append(label_info({"sky": 0, "road": 1}))
    inbox.labels.append(label_info({"sea": 2, "sky": 0}))
    inbox.add_version(VisionInfo(database_version=2))
    for frame, names in ((0, ("sky", "road")), (1, ()), (2, scores)):
        inbox.add_sent(frame * SECOND, frame, size)
        header = Header(stamp=Time(sec=frame))
        for message, add in (
            (mask_message([[0, 255]], "mono8"), inbox.add_mask),
            (mask_message([[255, 51]], "mono8"), inbox.add_confidence),
        ):
            message.header = header
            add(message)
        if names:
            results = [ObjectHypothesis(class_id=name, score=0.5) for name in names]
            inbox.add_scores(Classification(header=header, results=results))
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
    recording = filled_inbox().recording(BEFORE, AFTER, Change(asked_ns=SECOND, reply_ns=SECOND + 5_000_000))
    assert (recording.shown, recording.seconds, recording.change) == (3, 2.0, 1)
    assert recording.versions == (1, 2)
    assert recording.ids == ((0, 1), (2, 0))
    assert recording.reply_ms == pytest.approx(5)
    first, second = recording.answers
    assert (first.frame, first.vocabulary, first.mask.tolist()) == (0, BEFORE, [[0, UNLABELLED]])
    assert (second.frame, second.vocabulary, second.mask.tolist()) == (2, AFTER, [[1, UNLABELLED]])
    assert first.confidence == pytest.approx(0.6)
    assert recording.first_mask_ms == pytest.approx(second.latency_ms + 1000)


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
        inbox.recording(BEFORE, after, Change(asked_ns=0))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (SetParametersResult(successful=False, reason="entry 2 is empty"), "refused.*entry 2 is empty"),
        (SetParametersResult(successful=False), "refused.*no reason"),
        (RuntimeError("the service is gone"), "refused.*the service is gone"),
    ],
)
def test_refused_change(result: SetParametersResult | RuntimeError, message: str) -> None:
    future = Future()
    if isinstance(result, RuntimeError):
        future.set_exception(result)
    else:
        future.set_result(SetParameters.Response(results=[result]))
    change = Change(asked_ns=0)
    change.check()
    change.replied(future)
    assert change.reply_ns > 0
    with pytest.raises(ReplayError, match=message):
        change.check()

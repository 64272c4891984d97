from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.stamps import DriveTime, header_stamp, is_stamped
from errseg_ros.ros_time import SECOND

EPOCH = 1_700_000_000.0


@pytest.mark.parametrize("data", [b"\0\1\0\0\2\0\0\0\3\0\0\0", b"\0\0\0\0\0\0\0\2\0\0\0\3"])
def test_a_stamp_is_read_in_both_byte_orders(data: bytes) -> None:
    assert header_stamp(data) == 2 * 10**9 + 3


@pytest.mark.parametrize("data", [b"", b"\0\1\0\0\2\0"])
def test_a_message_without_a_header_is_said(data: bytes) -> None:
    with pytest.raises(InputError, match="has no header"):
        header_stamp(data)


@pytest.mark.parametrize(("stamps", "stamped"), [([0, 0, 0], False), ([0, 0, 1], True), ([1, 0], True)])
def test_a_topic_is_stamped_where_any_message_is(ros: Any, stamps: list[int], stamped: bool) -> None:
    picture = np.zeros((2, 2), np.uint8)
    path = ros.bag([("/image", ros.start + n, ros.image(stamp, picture, "mono8")) for n, stamp in enumerate(stamps)])
    with BagReader(path) as reader:
        assert is_stamped(reader, "/image") is stamped


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([(EPOCH, 5.0), (EPOCH + 0.1, 5.3), (EPOCH + 0.2, 5.3)], [0, 0.1, 0.2]),
        ([(EPOCH, 5.0), (EPOCH + 0.2, 5.2), (EPOCH + 0.1, 5.3)], [0, 0.2, 0.1]),  # a little disorder
        ([(3.0, 5.0), (0.0, 5.2), (3.3, 5.3)], [0, 0.2, 0.3]),  # one without a stamp
        ([(0.0, 5.0), (0.0, 5.2), (EPOCH, 5.25), (EPOCH + 0.1, 5.4)], [0, 0.2, 0.25, 0.35]),  # so are the first
        ([(3.0, 5.0), (6.0, 8.0), (0.1, 8.5), (0.4, 8.7)], [0, 3, 3.5, 3.8]),  # a simulator that was reset
        ([(EPOCH, 5.0), (3.0, 5.2), (EPOCH + 0.4, 5.4), (EPOCH + 0.6, 5.6)], [0, 0.2, 0.4, 0.6]),  # a stray stamp
        ([(EPOCH, 5.0), (2 * EPOCH, 5.2), (EPOCH + 0.4, 5.4)], [0, 0.2, 0.4]),
        ([(5.0, 5.0), (6.0, 6.0), (EPOCH, 7.0), (EPOCH + 1, 8.0)], [0, 1, 2, 3]),  # a clock that was set
        ([(5.0, 5.0), (605.0, 5.0), (1205.0, 5.0)], [0, 600, 1200]),  # a bag without times
        ([(5.0, 5.0), (9000.0, 9000.0)], [0, 8995]),  # a long pause
    ],
)
def test_time_goes_by_stamps_and_on_where_they_do_not_tell(
    images: list[tuple[float, float]], expected: list[float]
) -> None:
    time = DriveTime()
    seconds = [time.since_first(round(s * SECOND), round(t * SECOND)) / SECOND for s, t in images]
    assert seconds == pytest.approx(expected, abs=1e-6)

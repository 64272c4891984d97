from __future__ import annotations

import pytest

from errseg_model.errors import InputError
from errseg_ros.demo.frames import Pace, rate_of
from errseg_ros.ros_time import SECOND

MS = 1_000_000


@pytest.mark.parametrize(
    ("stamps_ms", "rate", "duration", "expected"),
    [
        ([0, 100, 200, 300], 10, 10, [0, 1, 2, 3]),
        ([0, 40, 80, 120, 160, 200], 10, 10, [0, 2, 5]),  # 25 Hz
        ([0, 200, 400], 10, 10, [0, 1, 2]),  # slower than the rate
        ([0, 99, 201, 298], 10, 10, [0, 1, 2, 3]),  # a camera that is not exact
        ([0, 100, 200, 300], 10, 0.2, [0, 1]),
        ([7000, 7100, 9000], 10, 1, [0, 1]),
        ([0, 500, 520, 1000], 1, 10, [0, 3]),
        ([0], 10, 10, [0]),
    ],
)
def test_pace_chooses_frames(stamps_ms: list[int], rate: float, duration: float, expected: list[int]) -> None:
    assert Pace(rate, duration).choose([stamp * MS for stamp in stamps_ms]) == expected


@pytest.mark.parametrize(("stamps", "expected"), [((0, SECOND), 1.0), ((0, SECOND, 2 * SECOND), 1.0), ((0,), 0.0)])
def test_rate_of_stamps(stamps: tuple[int, ...], expected: float) -> None:
    assert rate_of(stamps) == expected


@pytest.mark.parametrize(("rate", "duration"), [(1, 0.5), (0.1, 9)])
def test_pace_without_an_image_is_refused(rate: float, duration: float) -> None:
    with pytest.raises(InputError, match="time for one image or more"):
        Pace(rate, duration)

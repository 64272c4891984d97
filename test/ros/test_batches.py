from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from errseg_ros.batches import RUNS, fastest_batch, in_batches


class Device:
    """Takes `fixed` + `each` x images seconds for a batch, and holds `room` images."""

    def __init__(self, fixed: float, each: float, room: int = 100) -> None:
        self.fixed, self.each, self.room = fixed, each, room
        self.now = 0.0
        self.sizes: list[int] = []

    def compute(self, size: int) -> None:
        self.sizes.append(size)
        if size > self.room:
            raise torch.cuda.OutOfMemoryError("too much")
        self.now += self.fixed + self.each * size


@pytest.mark.parametrize(
    ("device", "most", "expected"),
    [
        (Device(0.0, 1.0), 8, 1),  # nothing to be gained
        (Device(0.04, 1.0), 8, 1),  # a gain of less than 5 %
        (Device(1.0, 0.1), 1, 1),
        (Device(1.0, 0.1), 4, 4),
        (Device(1.0, 0.1), 3, 3),  # between two powers of two
        (Device(1.0, 0.1), 6, 6),
        (Device(1.0, 0.1, room=2), 8, 2),
    ],
)
def test_the_batch_with_the_least_time_an_image_is_chosen(device: Device, most: int, expected: int) -> None:
    assert fastest_batch(device.compute, most, lambda: device.now) == expected
    assert max(device.sizes) <= most
    assert all(device.sizes.count(size) in (1, RUNS + 1) for size in device.sizes)


def test_where_not_even_one_image_fits_that_is_said() -> None:
    with pytest.raises(torch.cuda.OutOfMemoryError):
        fastest_batch(Device(1.0, 0.1, room=0).compute, 8)


def test_a_batch_that_goes_well_is_computed_once() -> None:
    calls = []

    def compute(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return [10 * item for item in items]

    assert list(in_batches(compute, [1, 2, 3])) == [(1, 10), (2, 20), (3, 30)]
    assert calls == [[1, 2, 3]]


@pytest.mark.parametrize("bad", [[2], [0, 4], [0, 1, 2, 3, 4]])
def test_what_fails_alone_is_the_only_one_that_fails(bad: list[int]) -> None:
    def compute(items: Sequence[int]) -> list[int]:
        if set(items) & set(bad):
            raise RuntimeError(f"bad among {list(items)}")
        return [10 * item for item in items]

    outcomes = list(in_batches(compute, range(5)))
    assert [item for item, _ in outcomes] == [0, 1, 2, 3, 4]
    for item, outcome in outcomes:
        if item in bad:
            assert isinstance(outcome, RuntimeError) and str(outcome) == f"bad among [{item}]"
        else:
            assert outcome == 10 * item


def test_too_many_together_are_computed_as_many_at_a_time_as_go() -> None:
    sizes = []

    def compute(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        if len(items) > 2:
            raise torch.cuda.OutOfMemoryError("too much")
        return items

    assert list(in_batches(compute, range(4))) == [(n, n) for n in range(4)]
    assert sizes == [4, 2, 2]


def test_an_exception_does_not_keep_the_memory_of_the_frames_it_came_through() -> None:
    def compute(items: Sequence[int]) -> Sequence[int]:
        raise RuntimeError("bad")

    ((_, error),) = in_batches(compute, [1])
    assert isinstance(error, RuntimeError) and error.__traceback__ is None

"""Several cameras' images computed together: where that is faster, and what happens when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

GAIN = 0.95
"""A larger batch must take less than this share of a smaller one's time for an image."""

RUNS = 5


def fastest_batch(compute: Callable[[int], object], most: int, clock: Callable[[], float] = time.perf_counter) -> int:
    """The number of images, 1 to `most`, that takes the least time an image when computed together.

    Args:
        compute: computes that many images and waits for the results; what does not fit raises OutOfMemoryError, which
            comes out of here where not even one does.
        most: as many may wait together.
        clock: gives seconds.
    """
    fastest, least = 1, float("inf")
    size = 1
    while size <= most:
        try:
            compute(size)  # memory and kernels of this size are set up
            seconds = min(_seconds(compute, size, clock) for _ in range(RUNS)) / size
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            torch.cuda.empty_cache()
            break
        if seconds < least * GAIN:
            fastest, least = size, seconds
        size = most if size < most < 2 * size else 2 * size
    return fastest


def in_batches(
    compute: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> Iterator[tuple[Item, Result | Exception]]:
    """Every item with its result, or with the exception that it fails with when it is computed alone.

    A batch that fails is computed again in halves: one of its items may be at fault, or all be too much together.
    """
    try:
        results: Sequence[Result] = compute(items)
    except Exception as error:
        if len(items) == 1:
            yield items[0], error.with_traceback(None)  # which would hold what the frames below it hold
            return
        half = len(items) // 2
    else:
        yield from zip(items, results, strict=True)
        return
    yield from in_batches(compute, items[:half])
    yield from in_batches(compute, items[half:])


def _seconds(compute: Callable[[int], object], size: int, clock: Callable[[], float]) -> float:
    start = clock()
    compute(size)
    return clock() - start

"""How long the stages of a segmentation take."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import torch


class StageTimer:
    """Times stages that follow each other without a gap; the first one starts with the timer.

    CUDA computes behind our back: there an event in the queue marks where a stage ends, and all of them are read
    at the end, so that no stage waits for the one before.
    """

    def __init__(self, device: torch.device) -> None:
        """`device` is where the stages are computed."""
        self._device = device
        self._names: list[str] = []
        self._marks: list[Any] = [self._mark()]

    def end(self, stage: str) -> None:
        """The stage of this name ends here, and the next one starts."""
        self._names.append(stage)
        self._marks.append(self._mark())

    def seconds(self) -> dict[str, float]:
        """Of every stage; on CUDA this waits until the last one has ended."""
        pairs = zip(self._names, pairwise(self._marks), strict=True)
        if self._device.type != "cuda":
            return {name: end - start for name, (start, end) in pairs}
        torch.cuda.synchronize(self._device)
        return {name: start.elapsed_time(end) / 1000 for name, (start, end) in pairs}

    def _mark(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

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
        """What was computed since the last end belongs to this stage, which may have several parts."""
        self._names.append(stage)
        self._marks.append(self._mark())

    def seconds(self) -> dict[str, float]:
        """Of every stage, in the order of their first parts; on CUDA this waits until the last one has ended."""
        on_cuda = self._device.type == "cuda"
        if on_cuda:
            torch.cuda.synchronize(self._device)
        seconds: dict[str, float] = {}
        for name, (start, end) in zip(self._names, pairwise(self._marks), strict=True):
            took = start.elapsed_time(end) / 1000 if on_cuda else end - start
            seconds[name] = seconds.get(name, 0.0) + took
        return seconds

    def _mark(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

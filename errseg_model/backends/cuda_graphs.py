"""CUDA graphs: what a GPU is told a thousand times an image is recorded once and replayed with one call.

Not torch.compile's own mode for it ("reduce-overhead"): its graphs belong to the thread that recorded them, and a node
warms up on another thread than the one that computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Compute = Callable[..., Sequence[Tensor]]
"""Tensors to tensors; on CUDA without a wait for the device."""

MAX_RECORDINGS = 64
"""Sets of shapes that are recorded; what comes in yet another shape is computed without a recording."""

WARM_UP = 3
"""Calls before the recording: compilers and libraries choose and set up their kernels in them."""


@dataclass(frozen=True)
class Recording:
    """A computation on tensors that stay where they are."""

    outputs: Sequence[Tensor]
    replay: Callable[[], None]
    """Computes `outputs` anew from what is in the inputs."""


class RecordedCompute:
    """A computation that is recorded for each set of shapes of its inputs (B, K and the size of the image).

    For one thread at a time.
    """

    def __init__(self, compute: Compute, record: Callable[[Compute, Sequence[Tensor]], Recording]) -> None:
        self._compute = compute
        self._record = record
        self._recordings: dict[tuple[object, ...], tuple[list[Tensor], Recording]] = {}

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """As the computation; the outputs are the caller's own."""
        key = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        if key not in self._recordings:
            if len(self._recordings) == MAX_RECORDINGS:
                return list(self._compute(*inputs))
            kept = [tensor.clone(memory_format=torch.preserve_format) for tensor in inputs]
            self._recordings[key] = kept, self._record(self._compute, kept)
        kept, recording = self._recordings[key]
        for own, given in zip(kept, inputs, strict=True):
            own.copy_(given)
        recording.replay()
        # The next replay writes over the outputs, and so may that of another recording: they share their memory.
        return [output.clone() for output in recording.outputs]


class CudaRecorder:
    """Records CUDA graphs that share their memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, compute: Compute, inputs: Sequence[Tensor]) -> Recording:
        """Record `compute` on `inputs`, which are to stay where they are."""
        with torch.cuda.device(self._device):
            # Graphs share memory only where they are recorded on one stream.
            stream = self._stream = self._stream or torch.cuda.Stream(self._device)
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    compute(*inputs)
            graph = torch.cuda.CUDAGraph()
            # Other threads, which encode new names, may use the device meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                outputs = compute(*inputs)
            torch.cuda.current_stream(self._device).wait_stream(stream)
            self._pool = self._pool or graph.pool()
        return Recording(outputs, graph.replay)

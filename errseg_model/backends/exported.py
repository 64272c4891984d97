"""Halves computed by an inference engine from exported graphs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from errseg_model.backends.graphs import FUSE_CLASSES, GraphHalves
from errseg_model.backends.onnx_export import OnnxGraphs
from errseg_model.config import INPUT_MULTIPLE


class Engine(Protocol):
    """One graph, loaded."""

    def __call__(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Outputs, in the graph's order, of float32 inputs."""


class ExportedHalves(GraphHalves):
    """Exports and loads a pair of graphs for an input size when its first image comes. Thread safe."""

    def __init__(self, export: Callable[[tuple[int, int]], OnnxGraphs], load: Callable[[bytes], Engine]) -> None:
        """`export` makes the graphs of an input size, `load` an engine of one graph."""
        self._export, self._load = export, load
        self._lock = threading.Lock()
        self._engines: dict[tuple[int, int], tuple[Engine, Engine]] = {}
        self._fused: set[tuple[int, int]] = set()  # sizes whose second half has run

    def run_encode(self, images: Tensor) -> Sequence[Tensor]:
        """See `GraphHalves`."""
        height, width = images.shape[-2:]
        with self._lock:
            return self._pair((height, width))[0]([images])

    def run_fuse(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """See `GraphHalves`."""
        height, width = inputs[1].shape[-2:]
        size = height * INPUT_MULTIPLE, width * INPUT_MULTIPLE
        with self._lock:
            fuse = self._pair(size)[1]
            if size not in self._fused and inputs[0].shape[1] == 1:
                # OpenVINO 2026.4 computes nonsense for 8 and more classes in a graph that first ran with a single one.
                fuse([torch.cat([tensor] * 2, 1) if n < FUSE_CLASSES else tensor for n, tensor in enumerate(inputs)])
            self._fused.add(size)
            return fuse(inputs)[0]

    def _pair(self, size: tuple[int, int]) -> tuple[Engine, Engine]:
        if size not in self._engines:
            graphs = self._export(size)
            self._engines[size] = self._load(graphs.encode), self._load(graphs.fuse)
        return self._engines[size]

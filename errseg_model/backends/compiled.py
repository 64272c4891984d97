"""The network through `torch.compile`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from errseg_model.backends.cuda_graphs import Compute, CudaRecorder, RecordedCompute
from errseg_model.backends.graphs import FUSE_CLASSES, EncodeGraph, FuseGraph, GraphHalves
from errseg_model.errors import InputError
from errseg_model.network.errseg import ERRSeg, ImageEncoding

KEPT = (1, 2, 19)
"""Numbers of classes that PyTorch compiles apart: one, less than 16, and more."""

COMPILATIONS = 60
"""Of each half; PyTorch computes what comes after them, such as a twenty-first size, without compiling it."""


class CompiledHalves(GraphHalves):
    """Both halves compiled by inductor, for all numbers of classes when the first image of a size comes.

    K is declared dynamic, so that neither another vocabulary nor another number of kept classes compiles again. PyTorch
    makes exceptions: a single kept class, like a single image, has a compilation of its own, and so have 16 and more.
    How many classes a later image keeps nobody knows, so the first one waits for all of KEPT, and none after it.
    On the CPU the weights are frozen into the code in the layout that the kernels want. On CUDA the kernels are
    recorded for each B, K and size, and replayed as one.

    For one thread at a time.
    """

    def __init__(self, network: ERRSeg, device: torch.device) -> None:
        """Raises InputError without a C++ compiler, which inductor needs on the CPU."""
        if device.type == "cpu" and not any(map(shutil.which, ("g++", "c++", "clang++"))):
            raise InputError("backend 'compiled' needs a C++ compiler: install g++, or choose another backend")
        options: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {}
        network.requires_grad_(False)  # weights that can still learn are not frozen
        # A size is never dynamic: PyTorch would try that with the second one, where frozen weights make it fail.
        compiling: dict[str, Any] = {"dynamic": False, "isolate_recompiles": True, "recompile_limit": COMPILATIONS}
        self._encode = torch.compile(EncodeGraph(network), options=options, **compiling)
        self._fuse = torch.compile(FuseGraph(network), options=options, **compiling)
        self._ready: set[tuple[int, int, bool]] = set()  # height, width, whether there were several images
        self._run_encode: Compute = self._compute_encode
        self._run_fuse: Compute = self._compute_fuse
        if device.type == "cuda":
            recorder = CudaRecorder(device)
            self._run_encode = RecordedCompute(self._compute_encode, recorder)
            self._run_fuse = RecordedCompute(self._compute_fuse, recorder)

    def encode(self, images: Tensor) -> ImageEncoding:
        """See `Halves`."""
        encoding = super().encode(images)
        batch, _, height, width = images.shape
        kind = height, width, batch > 1
        if kind not in self._ready:
            for kept in KEPT:
                self._compile_fuse(encoding, kept)
            self._ready.add(kind)
        return encoding

    def run_encode(self, images: Tensor) -> Sequence[Tensor]:
        """See `GraphHalves`."""
        return self._run_encode(images)

    def run_fuse(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """See `GraphHalves`."""
        return self._run_fuse(*inputs)[0]

    def _compile_fuse(self, encoding: ImageEncoding, kept: int) -> None:
        """Fuse as many words as `kept`, whatever they are, in the layout that `segment_batch` gives real ones."""
        dense = encoding.dense.stride16
        words = dense.new_full((kept, dense.shape[1]), dense.shape[1] ** -0.5)
        selected = torch.arange(kept, device=dense.device).expand(len(dense), -1)
        self.fuse(encoding.dense.cost_maps(words).gather(selected), words[selected], encoding.guidance)

    def _compute_encode(self, images: Tensor) -> Sequence[Tensor]:
        _mark_dynamic(images, 0)
        outputs: Sequence[Tensor] = self._encode(images)
        return outputs

    def _compute_fuse(self, *inputs: Tensor) -> Sequence[Tensor]:
        for number, tensor in enumerate(inputs):
            _mark_dynamic(tensor, 0)
            if number < FUSE_CLASSES:
                _mark_dynamic(tensor, 1)
        return (self._fuse(*inputs),)


def _mark_dynamic(tensor: Tensor, dimension: int) -> None:
    if tensor.shape[dimension] > 1:
        torch._dynamo.mark_dynamic(tensor, dimension)

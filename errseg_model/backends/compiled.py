"""The network through `torch.compile`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from errseg_model.backends.cuda_graphs import Compute, CudaRecorder, RecordedCompute
from errseg_model.backends.graphs import EncodeGraph, FuseGraph, GraphHalves
from errseg_model.errors import InputError
from errseg_model.network.errseg import ERRSeg

FUSE_CLASSES = 3
"""How many of FUSE_INPUTS, from the first, have K as their second dimension."""


class CompiledHalves(GraphHalves):
    """Both halves compiled by inductor, once per input size.

    K is declared dynamic, so that neither another vocabulary nor another number of kept classes compiles again. PyTorch
    makes exceptions: a single kept class, like a single image, has a compilation of its own, and so have 16 and more.
    On the CPU the weights are frozen into the code in the layout that the kernels want. On CUDA the kernels are
    recorded for each B, K and size, and replayed as one.
    """

    def __init__(self, network: ERRSeg, device: torch.device) -> None:
        """Raises InputError without a C++ compiler, which inductor needs on the CPU."""
        if device.type == "cpu" and not any(map(shutil.which, ("g++", "c++", "clang++"))):
            raise InputError("backend 'compiled' needs a C++ compiler: install g++, or choose another backend")
        options: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {}
        network.requires_grad_(False)  # weights that can still learn are not frozen
        self._encode = torch.compile(EncodeGraph(network), options=options)
        self._fuse = torch.compile(FuseGraph(network), options=options)
        self._run_encode: Compute = self._compute_encode
        self._run_fuse: Compute = self._compute_fuse
        if device.type == "cuda":
            recorder = CudaRecorder(device)
            self._run_encode = RecordedCompute(self._compute_encode, recorder)
            self._run_fuse = RecordedCompute(self._compute_fuse, recorder)

    def run_encode(self, images: Tensor) -> Sequence[Tensor]:
        """See `GraphHalves`."""
        return self._run_encode(images)

    def run_fuse(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """See `GraphHalves`."""
        return self._run_fuse(*inputs)[0]

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

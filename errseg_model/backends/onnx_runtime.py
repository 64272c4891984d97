"""ONNX Runtime as engine: on the CPU, and on CUDA with or without TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack
from torch import Tensor

from errseg_model.backends.onnx_export import require
from errseg_model.errors import InputError

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class OnnxRuntimeEngine:
    """A graph in ONNX Runtime. Tensors stay where they are: it reads and writes PyTorch's memory."""

    def __init__(self, model: bytes, device: torch.device, *, tensorrt: bool) -> None:
        """Raises InputError when the package is missing or has no provider for the device."""
        runtime = require("onnxruntime", "backend 'onnxruntime'")
        self._device = device
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that spin for work would hold up PyTorch's, which come next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors
        providers = choose_providers(device, tensorrt=tensorrt)
        self._session: Any = runtime.InferenceSession(model, options, providers=providers)
        wanted = providers[0][0]
        if wanted not in self._session.get_providers():  # its libraries do not load: it goes on without a word
            raise InputError(
                f"ONNX Runtime cannot start {wanted}: install the CUDA{', TensorRT' if tensorrt else ''} and cuDNN "
                "libraries that its version asks for, or use backend 'pytorch' or 'compiled'"
            )
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]

    def __call__(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """See `Engine`."""
        place = self._device.type, self._device.index or 0
        binding = self._session.io_binding()
        tensors = [tensor.float().contiguous() for tensor in inputs]  # kept until the run has ended
        for name, tensor in zip(self._inputs, tensors, strict=True):
            binding.bind_input(name, *place, np.float32, tuple(tensor.shape), tensor.data_ptr())
        for name in self._outputs:
            binding.bind_output(name, *place)
        if self._device.type == "cuda":  # a stream of its own: what it reads has to be there
            torch.cuda.current_stream(self._device).synchronize()
        self._session.run_with_iobinding(binding)
        # The wrapper around `_ortvalue` speaks DLPack only since 1.24, and Python 3.10 gets 1.23.
        return [torch.utils.dlpack.from_dlpack(value._ortvalue) for value in binding.get_outputs()]


def choose_providers(device: torch.device, *, tensorrt: bool) -> list[tuple[str, dict[str, Any]]]:
    """Names and options, the wanted one first. Raises InputError when package or provider is missing."""
    there = require("onnxruntime", "backend 'onnxruntime'").get_available_providers()
    wanted = [CPU] if device.type == "cpu" else [*([TENSORRT] if tensorrt else []), CUDA]
    if missing := [name for name in wanted if name not in there]:
        raise InputError(
            f"the installed ONNX Runtime has no {missing[0]}: for CUDA and TensorRT install onnxruntime-gpu in "
            "place of onnxruntime, or use device cpu"
        )
    options: dict[str, Any] = {} if device.type == "cpu" else {"device_id": device.index or 0}
    return [(name, options) for name in wanted]

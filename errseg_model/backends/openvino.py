"""OpenVINO as engine, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from errseg_model.backends.onnx_export import require
from errseg_model.errors import InputError

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """A graph in OpenVINO. Outputs are copied out, since the next run writes over them."""

    def __init__(self, model: bytes, precision: str) -> None:
        """Raises InputError when the package is missing or the processor has no such precision."""
        core = open_core(precision)
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        self._request: Any = core.compile_model(core.read_model(model), "CPU", options).create_infer_request()

    def __call__(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """See `Engine`."""
        arrays = [tensor.float().contiguous().numpy() for tensor in inputs]
        outputs = self._request.infer(arrays, share_inputs=True)
        return [torch.from_numpy(array) for array in outputs.values()]


def open_core(precision: str) -> Any:
    """OpenVINO's Core. Raises InputError when the package is missing or the processor has no such precision."""
    core = require("openvino", "backend 'openvino'").Core()
    if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError("this processor does not compute in bfloat16 (AVX512_BF16 or AMX): use precision float32")
    return core

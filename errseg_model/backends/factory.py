"""`create_backend`: the one way to something that computes the network's halves.

What a backend prepares for a size of input (an export, a compilation) it prepares with the first image of that size,
as the size can follow the image's aspect ratio. What is wrong with the backend itself is told when it is created.
"""

from __future__ import annotations

import functools

import torch

from errseg_model.backends.names import BACKENDS, PRECISIONS
from errseg_model.config import ModelConfig
from errseg_model.errors import InputError
from errseg_model.network.errseg import ERRSeg, Halves

HALF_PRECISION = ("pytorch", "compiled")
"""Backends that compute in whatever the network's weights are."""


def create_backend(
    name: str, network: ERRSeg, config: ModelConfig, device: torch.device, precision: str = "float32"
) -> Halves:
    """What computes the halves of `network` on `device`.

    Args:
        name: pytorch (the network itself), compiled (`torch.compile`), onnxruntime (on the CPU or CUDA), tensorrt
            (ONNX Runtime with TensorRT) or openvino (CPU).
        network: in evaluation mode, on `device`.
        config: of its model.
        device: a CPU or a CUDA device.
        precision: float32, bfloat16 (pytorch, compiled, openvino) or float16 (pytorch and compiled, on CUDA). It is
            set in the network itself.

    Raises:
        InputError: no such backend, not for this device, processor or precision, or a package that it needs is missing.
    """
    check_backend(name, device, precision)
    if name in HALF_PRECISION and precision != "float32":
        network.set_precision(getattr(torch, precision))
    if name == "pytorch":
        return network
    if name == "compiled":
        from errseg_model.backends.compiled import CompiledHalves

        return CompiledHalves(network, device)
    # These and the packages they need only for those who ask for them.
    from errseg_model.backends.exported import Engine, ExportedHalves
    from errseg_model.backends.onnx_export import export_onnx, require, require_exporter

    if name == "openvino":
        from errseg_model.backends.openvino import OpenVinoEngine, open_core

        open_core(precision)

        def load(model: bytes) -> Engine:
            return OpenVinoEngine(model, precision)
    else:
        from errseg_model.backends.onnx_runtime import OnnxRuntimeEngine, choose_providers

        require("onnxruntime", f"backend {name!r}", "onnxruntime-gpu" if device.type == "cuda" else None)
        choose_providers(device, tensorrt=name == "tensorrt")

        def load(model: bytes) -> Engine:
            return OnnxRuntimeEngine(model, device, tensorrt=name == "tensorrt")

    require_exporter()
    return ExportedHalves(functools.partial(export_onnx, network, config), load)


def check_backend(name: str, device: torch.device, precision: str = "float32") -> None:
    """Raises InputError unless there is such a backend for this device and precision."""
    if name not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if name == "openvino" and device.type != "cpu":
        raise InputError("backend 'openvino' computes on the CPU: use device cpu, or another backend")
    if name == "tensorrt" and device.type != "cuda":
        raise InputError("backend 'tensorrt' needs a CUDA device: use device cuda, or backend 'onnxruntime'")
    if precision != "float32" and name not in (*HALF_PRECISION, "openvino"):
        raise InputError(f"backend {name!r} computes in float32: use backend 'compiled' for {precision}")
    if precision == "float16" and (device.type == "cpu" or name == "openvino"):
        raise InputError("float16 needs a CUDA device and backend 'pytorch' or 'compiled': use bfloat16 on the CPU")

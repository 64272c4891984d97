from __future__ import annotations

import sys

import pytest
import torch

from errseg_model import InputError, Segmenter
from errseg_model.backends.factory import check_backend, create_backend
from errseg_model.backends.onnx_runtime import CPU, CUDA, TENSORRT, _providers
from errseg_model.backends.openvino import OpenVinoEngine
from errseg_model.factory import Model

CUDA_1 = torch.device("cuda:1")


def test_pytorch_is_the_network_itself(lite: Model) -> None:
    assert create_backend("pytorch", lite.network, lite.config, torch.device("cpu")) is lite.network


@pytest.mark.parametrize(
    ("name", "device", "precision", "message"),
    [
        ("caffe", "cpu", "float32", "backend must be one of pytorch, compiled, onnxruntime, tensorrt, openvino"),
        ("", "cpu", "float32", "backend must be one of"),
        ("pytorch", "cpu", "int3", "precision must be one of float32"),
        ("openvino", "cuda", "float32", "device cpu"),
        ("tensorrt", "cpu", "float32", "needs a CUDA device"),
        ("onnxruntime", "cpu", "bfloat16", "use backend 'compiled' for bfloat16"),
        ("openvino", "cpu", "float16", "use bfloat16 on the CPU"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, device: str, precision: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_backend(name, torch.device(device), precision)


def test_a_wrong_backend_is_found_before_the_model_is_loaded() -> None:
    with pytest.raises(InputError, match="backend must be one of"):
        Segmenter.from_pretrained("errseg-l", backend="caffe", device="cpu")  # which has no weights here


@pytest.mark.parametrize(
    ("name", "package"), [("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("openvino", "onnxscript")]
)
def test_a_missing_package_is_named(lite: Model, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        create_backend(name, lite.network, lite.config, torch.device("cpu"))


def test_a_missing_compiler_is_named(lite: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"install g\+\+"):
        create_backend("compiled", lite.network, lite.config, torch.device("cpu"))


def test_a_processor_without_bfloat16_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32"])
    with pytest.raises(InputError, match="use precision float32"):
        OpenVinoEngine(b"", "bfloat16")


def test_providers_follow_the_device() -> None:
    there = {CPU, CUDA, TENSORRT}
    assert _providers(torch.device("cpu"), there, tensorrt=False) == [(CPU, {})]
    assert _providers(CUDA_1, there, tensorrt=False) == [(CUDA, {"device_id": 1})]
    assert _providers(CUDA_1, there, tensorrt=True) == [(TENSORRT, {"device_id": 1}), (CUDA, {"device_id": 1})]


@pytest.mark.parametrize("tensorrt", [True, False])
def test_an_onnxruntime_without_cuda_is_named(tensorrt: bool) -> None:
    with pytest.raises(InputError, match="onnxruntime-gpu"):
        _providers(CUDA_1, {CPU}, tensorrt=tensorrt)

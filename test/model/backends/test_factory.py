from __future__ import annotations

import sys

import onnxruntime
import pytest
import torch

from errseg_model import InputError, Segmenter
from errseg_model.backends.factory import check_backend, create_backend
from errseg_model.backends.onnx_runtime import CPU, CUDA, TENSORRT, choose_providers
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


def test_a_processor_without_bfloat16_is_named(lite: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32"])
    with pytest.raises(InputError, match="use precision float32"):
        create_backend("openvino", lite.network, lite.config, torch.device("cpu"), "bfloat16")


def test_providers_follow_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU, CUDA, TENSORRT])
    assert choose_providers(torch.device("cpu"), tensorrt=False) == [(CPU, {})]
    assert choose_providers(CUDA_1, tensorrt=False) == [(CUDA, {"device_id": 1})]
    assert choose_providers(CUDA_1, tensorrt=True) == [(TENSORRT, {"device_id": 1}), (CUDA, {"device_id": 1})]


@pytest.mark.parametrize("name", ["onnxruntime", "tensorrt"])
def test_an_onnxruntime_without_cuda_is_named(lite: Model, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(InputError, match="onnxruntime-gpu"):
        create_backend(name, lite.network, lite.config, CUDA_1)

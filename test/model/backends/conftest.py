"""What the tests of the backends share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from errseg_model.backends.exported import ExportedHalves
from errseg_model.backends.factory import create_backend
from errseg_model.backends.onnx_export import OnnxGraphs, export_onnx
from errseg_model.backends.onnx_runtime import OnnxRuntimeEngine
from errseg_model.backends.openvino import OpenVinoEngine
from errseg_model.factory import Model, create_model
from errseg_model.network.errseg import Halves

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def lite() -> Model:
    """errseg-lite with its weights and a small input."""
    model = create_model("errseg-lite")
    return dataclasses.replace(model, config=dataclasses.replace(model.config, input_size=(64, 96)))


@pytest.fixture(scope="session")
def lite_graphs(lite: Model) -> OnnxGraphs:
    """Exported once for all tests: it takes seconds."""
    return export_onnx(lite.network, lite.config, lite.config.input_size)


@pytest.fixture(scope="session")
def computed_by(lite: Model, lite_graphs: OnnxGraphs) -> Callable[[str], Halves]:
    """lite's halves by `BACKEND` or `BACKEND PRECISION`. Of the exported ones another size fails."""

    def export(size: tuple[int, int]) -> OnnxGraphs:
        assert size == lite.config.input_size
        return lite_graphs

    made: dict[str, Halves] = {}

    def halves(name: str) -> Halves:
        if name not in made:
            if name == "onnxruntime":
                load = lambda graph: OnnxRuntimeEngine(graph, CPU, tensorrt=False)  # noqa: E731
                made[name] = ExportedHalves(export, load)
            elif name.startswith("openvino"):
                precision = "bfloat16" if name.endswith("bfloat16") else "float32"
                load = lambda graph: OpenVinoEngine(graph, precision)  # noqa: E731
                made[name] = ExportedHalves(export, load)
            else:
                made[name] = create_backend(name, lite.network, lite.config, CPU)
        return made[name]

    return halves

"""All backends compute the same, for every vocabulary and K, without another export or compilation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import open_clip
import pytest
import torch

from errseg_model import Segmenter, Vocabulary
from errseg_model.backends.agreement import compare
from errseg_model.backends.exported import Engine, ExportedHalves
from errseg_model.backends.factory import create_backend
from errseg_model.backends.onnx_export import OnnxGraphs, export_onnx
from errseg_model.backends.onnx_runtime import OnnxRuntimeEngine
from errseg_model.backends.openvino import OpenVinoEngine
from errseg_model.config import model_config
from errseg_model.factory import Model
from errseg_model.network.errseg import ERRSeg, Halves
from errseg_model.network.image_tower import ConvNeXtTower
from errseg_model.sample_drive import CLASSES, SampleDrive

CPU = torch.device("cpu")
FLOAT32 = ("onnxruntime", "openvino", "compiled")


def needs_bfloat16() -> None:
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor does not compute in bfloat16")


@pytest.mark.timeout(900)  # the first compilation of a machine
@pytest.mark.parametrize("name", FLOAT32)
def test_masks_of_a_drive_are_those_of_pytorch(lite: Model, computed_by: Callable[[str], Halves], name: str) -> None:
    plain, other = Segmenter(lite, CPU), Segmenter(lite, CPU)
    other._halves = computed_by(name)
    frame = SampleDrive(seed=0).frame(30).image
    for words in (CLASSES, ("road", "sky", "everything else"), tuple(f"thing {number}" for number in range(40))):
        encoded = plain.encode(Vocabulary.parse(words))
        for kept in (2, 5, 32):
            expected = plain.segment([frame], encoded, max_classes=kept)[0]
            answer = other.segment([frame], encoded, max_classes=kept)[0]
            np.testing.assert_array_equal(answer.selected, expected.selected)
            np.testing.assert_allclose(answer.logits, expected.logits, atol=1e-3)
            assert (answer.mask == expected.mask).mean() > 0.9999


def test_bfloat16_gives_almost_the_same_masks(lite: Model, computed_by: Callable[[str], Halves]) -> None:
    needs_bfloat16()
    plain, other = Segmenter(lite, CPU), Segmenter(lite, CPU)
    other._halves = computed_by("openvino bfloat16")
    encoded = plain.encode(Vocabulary.parse(CLASSES))
    frame = SampleDrive(seed=0).frame(30).image
    expected, answer = (segmenter.segment([frame], encoded)[0] for segmenter in (plain, other))
    assert np.abs(answer.logits - expected.logits).max() > 0  # it is no float32
    assert (answer.mask == expected.mask).mean() > 0.97


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FLOAT32)
def test_a_single_class_is_served(lite: Model, computed_by: Callable[[str], Halves], name: str) -> None:
    assert compare(lite.network, computed_by(name), lite.config, batch=1, classes=1).max_difference < 1e-3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("first", [1, 2, 19])
def test_openvino_serves_any_number_of_classes_whatever_came_first(
    lite: Model, lite_graphs: OnnxGraphs, first: int, precision: str
) -> None:
    """As of a node that is started with a single word and then gets more."""
    if precision == "bfloat16":
        needs_bfloat16()
    halves = ExportedHalves(lambda _: lite_graphs, lambda graph: OpenVinoEngine(graph, precision))
    for classes in (first, 8, 19, 1, 48):
        agreement = compare(lite.network, halves, lite.config, batch=1, classes=classes)
        assert agreement.mask_agreement > (0.999 if precision == "float32" else 0.9)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_batch_is_served(lite: Model, computed_by: Callable[[str], Halves], name: str) -> None:
    assert compare(lite.network, computed_by(name), lite.config, batch=3, classes=6).max_difference < 1e-3


def test_another_input_size_is_exported_once(
    lite: Model, lite_graphs: OnnxGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from errseg_model.backends import onnx_export

    export, sizes = onnx_export.export_onnx, []

    def count(network: ERRSeg, config: object, size: tuple[int, int]) -> OnnxGraphs:
        sizes.append(size)
        return lite_graphs if size == (64, 96) else export(network, lite.config, size)

    monkeypatch.setattr(onnx_export, "export_onnx", count)
    halves = create_backend("onnxruntime", lite.network, lite.config, CPU)
    tall = dataclasses.replace(lite.config, input_size=(96, 64))
    for classes in (3, 5):
        assert compare(lite.network, halves, tall, batch=1, classes=classes).max_difference < 1e-3
        assert compare(lite.network, halves, lite.config, batch=1, classes=classes).max_difference < 1e-3
    assert sizes == [(96, 64), (64, 96)]  # each with its first image


def test_the_structure_of_b_is_served() -> None:
    """ERR-Seg-B around a small ConvNeXt of the same kind: CLIP's head, the second way through the last stage."""
    torch.manual_seed(0)
    vision = {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear", "image_size": 64}
    text = {"context_length": 8, "vocab_size": 10, "width": 32, "heads": 2, "layers": 1}
    visual = open_clip.CLIP(640, vision, text).visual
    config = dataclasses.replace(model_config("errseg-b"), input_size=(64, 64), stage_widths=(40, 80, 160, 320))
    network = ERRSeg(config, ConvNeXtTower(visual)).eval()
    graphs = export_onnx(network, config, config.input_size)
    engines: tuple[Callable[[bytes], Engine], ...] = (
        lambda graph: OnnxRuntimeEngine(graph, CPU, tensorrt=False),
        lambda graph: OpenVinoEngine(graph, "float32"),
    )
    for load in engines:
        agreement = compare(network, ExportedHalves(lambda _: graphs, load), config, 1, classes=9)
        assert agreement.max_difference < 1e-3 and agreement.mask_agreement > 0.999

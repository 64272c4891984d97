"""The network in half precision."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from errseg_model import Segmenter
from errseg_model.errors import InputError
from errseg_model.factory import create_model
from errseg_model.sample_drive import CLASSES, SampleDrive

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


Picture = NDArray[np.uint8]


def masks(pictures: list[Picture], names: list[str], precision: str, device: str = "cpu") -> list[NDArray[np.uint16]]:
    """With all classes kept: one with just the least share may be kept in one precision alone."""
    segmenter = Segmenter.from_pretrained(device=device, precision=precision, input_size=(384, 512), min_share=0)
    segmenter.set_vocabulary(names)
    return [segmenter(picture).mask for picture in pictures]


@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "bfloat16"),
        pytest.param("cuda", "bfloat16", marks=NEEDS_CUDA),
        pytest.param("cuda", "float16", marks=NEEDS_CUDA),
    ],
)
def test_masks_of_half_precision_agree_with_those_of_float32(shared: Path, device: str, precision: str) -> None:
    files = sorted((shared / "camvid" / "test" / "images").glob("*.png"))[::40]
    pictures = [np.asarray(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB), np.uint8) for file in files]
    names = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
    full, half = masks(pictures, names, "float32"), masks(pictures, names, precision, device)
    same = [np.mean(one == other) for one, other in zip(full, half, strict=True)]
    assert np.mean(same) > 0.99 and min(same) > 0.98, same
    assert all(len(np.unique(mask)) > 4 for mask in full)


def test_masks_of_bfloat16_agree_on_a_frame_of_the_sample_drive() -> None:
    image = SampleDrive().frame(30).image
    (full,), (half,) = (masks([image], list(CLASSES), precision) for precision in ("float32", "bfloat16"))
    assert np.mean(full == half) > 0.98
    assert len(np.unique(full)) > 3


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_what_stays_float32_is_not_rounded(precision: torch.dtype) -> None:
    network = create_model("errseg-lite").network
    exact = [name for name, module in network.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = {
        name: t.clone() for name, t in network.state_dict().items() if name.startswith(("cost_embedding.", *exact))
    }
    network.set_precision(precision)
    after = network.state_dict()
    assert len(before) > 100 and all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert any(tensor.is_floating_point() and (tensor != tensor.to(precision)).any() for tensor in before.values())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_embeddings_cost_and_logits_are_float32_in_any_precision(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    network = create_model("errseg-lite", random_weights=True).network
    network.set_precision(precision)
    seen = []
    network.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    network.hsm.image_tower.register_forward_hook(lambda module, inputs, output: seen.append(output.dense16.dtype))
    text = F.normalize(torch.randn(5, 384), dim=1)
    with torch.inference_mode():
        output = network(torch.randn(1, 3, 64, 96), text, 3)
    assert seen == [precision, precision]
    assert output.cost.stride16.dtype == output.cost.stride32.dtype == output.logits.dtype == torch.float32
    assert output.logits.isfinite().all()


@pytest.mark.parametrize(
    ("backend", "precision", "message"),
    [
        ("pytorch", "float16", "float16 needs a CUDA device"),
        ("onnxruntime", "bfloat16", "computes in float32"),
        ("pytorch", "int8", "precision must be one of"),
    ],
)
def test_precisions_that_a_backend_lacks_are_refused(backend: str, precision: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Segmenter.from_pretrained(device="cpu", backend=backend, precision=precision)

"""ERR-Seg-B computes what the published code computes, through the loader of the published checkpoint."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from errseg_model import Segmenter, Vocabulary
from errseg_model.files import read_image
from errseg_model.preprocessing import preprocess
from errseg_model.result import SegmentationResult

PARITY = Path(__file__).parent / "parity"
REFERENCE = np.load(PARITY / "errseg_b_ade150.npz")


def rebuildable_weights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_weights", PARITY / "weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """Loaded from a file as the published one: a pickled dict with `model` and entries of the training framework."""
    weight = rebuildable_weights().weight
    shapes = json.loads((PARITY / "errseg_b_keys.json").read_text())
    weights = {name: torch.from_numpy(np.asarray(weight(name, tuple(shape)))) for name, shape in shapes.items()}
    path = tmp_path_factory.mktemp("published") / "errseg_b.pth"
    torch.save({"model": weights, "iteration": 79999, "trainer": {"optimizer": {}}}, path)
    loaded = Segmenter.from_pretrained("errseg-b", checkpoint=path, device="cpu", max_classes=32)
    path.unlink()
    return loaded


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.parse(json.loads((PARITY / "ade150_classes.json").read_text()))


@pytest.fixture(scope="module")
def result(segmenter: Segmenter, vocabulary: Vocabulary) -> SegmentationResult:
    return segmenter.segment([read_image(PARITY / "input.png")], segmenter.encode(vocabulary))[0]


def test_text_embeddings(segmenter: Segmenter, vocabulary: Vocabulary) -> None:
    embeddings = segmenter.encode(vocabulary).embeddings.numpy()
    np.testing.assert_allclose(embeddings, REFERENCE["text_embeddings"], atol=1e-5)


@torch.inference_mode()
def test_image_tower(segmenter: Segmenter) -> None:
    images = preprocess([read_image(PARITY / "input.png")], segmenter.config, segmenter.device)
    features = segmenter._network.hsm.image_tower(images)
    os32 = features.stages[3].clamp(-16, 16)[0, ::16, ::2, ::2]
    np.testing.assert_allclose(os32.numpy(), REFERENCE["os32"], atol=1e-3)
    np.testing.assert_allclose(features.dense16[0, ::16, ::2, ::2].numpy(), REFERENCE["os16_dense"], atol=1e-3)
    np.testing.assert_allclose(features.dense32[0, ::16].numpy(), REFERENCE["clip_vis_dense"], atol=1e-3)
    assert F.normalize(features.dense32, dim=1).shape == (1, 640, 20, 20)


def test_selected_classes(result: SegmentationResult) -> None:
    np.testing.assert_array_equal(result.selected, REFERENCE["selected"])


def test_logits(result: SegmentationResult) -> None:
    np.testing.assert_allclose(result.logits[:, ::4, ::4], REFERENCE["logits"], atol=1e-3)


def test_mask_and_score(result: SegmentationResult) -> None:
    assert (result.mask == REFERENCE["mask"]).mean() > 0.999
    np.testing.assert_allclose(result.confidence[::8, ::8], REFERENCE["score_max"], atol=1e-3)

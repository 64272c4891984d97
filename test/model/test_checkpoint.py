from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from errseg_model.checkpoint import CheckpointError, load_checkpoint, published_name, save_checkpoint
from errseg_model.errors import InputError
from errseg_model.factory import create_model
from errseg_model.segmenter import Segmenter

NAMES = {
    "text_tower.clip.positional_embedding": "clip_model.positional_embedding",
    "hsm.image_tower.trunk.stem.0.weight": "clip_model.visual.trunk.stem.0.weight",
    "hsm.image_tower.modify_downsample.2.bias": "clip_model.visual.modify_downsample.2.bias",
    "cost_embedding.low_corr_fusion.weight": "decoder.low_corr_fusion.weight",
    "image_guidance.low_img_fusion.bias": "decoder.low_img_fusion.bias",
    "text_guidance.text_guidance_projection.0.bias": "decoder.text_guidance_projection.0.bias",
    "escf.3.spatial_fusion.sa.mlp.dwconv.bias": (
        "decoder.aggregator_layers.3.spatial_fusion.sa.mlp.dwconv.dwconv.bias"
    ),
    "decoder.up_decoder1.up_conv.weight": "decoder.up_decoder1.up_conv.weight",
}


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """A model of a few parameters."""
    return {name: torch.zeros(2, 3) for name in NAMES}


def published(path: Path, weights: dict[str, torch.Tensor]) -> Path:
    torch.save({"model": weights, "iteration": 1}, path)
    return path


def whole_published() -> dict[str, torch.Tensor]:
    return {f"sem_seg_head.{name}": torch.ones(2, 3) for name in NAMES.values()}


@pytest.mark.parametrize(("own", "expected"), NAMES.items())
def test_published_name(own: str, expected: str) -> None:
    assert published_name(own) == "sem_seg_head." + expected


@pytest.mark.parametrize("model", ["errseg-b", "errseg-l"])
def test_every_parameter_of_the_model_has_its_published_name(model: str) -> None:
    shapes = {
        published_name(name): list(tensor.shape)
        for name, tensor in create_model(model, random_weights=True).named_tensors().items()
    }
    listed = json.loads((Path(__file__).parent / "parity" / "errseg_b_keys.json").read_text())
    if model == "errseg-b":
        assert shapes == listed
    else:
        # L has more blocks, wider towers and an MLP head; what comes after the towers has the same names.
        assert {name for name in listed if ".decoder." in name} == {n for n in shapes if ".decoder." in n}
        assert shapes["sem_seg_head.clip_model.visual.head.mlp.fc2.weight"] == [768, 1536]
        assert shapes["sem_seg_head.clip_model.visual.modify_downsample.2.weight"] == [1536, 768, 2, 2]


def test_published_file_is_loaded(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    load_checkpoint(published(tmp_path / "file.pth", whole_published()), tensors)
    assert all((tensor == 1).all() for tensor in tensors.values())


def test_own_file_round_trip(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_checkpoint(tmp_path / "own.safetensors", {name: t + 2 for name, t in tensors.items()}, "errseg-b")
    load_checkpoint(tmp_path / "own.safetensors", tensors)
    assert all((tensor == 2).all() for tensor in tensors.values())
    assert [path.name for path in tmp_path.iterdir()] == ["own.safetensors"]


def test_misfits_are_listed_by_name_and_nothing_is_loaded(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    weights = whole_published()
    del weights["sem_seg_head.decoder.low_corr_fusion.weight"]
    weights["sem_seg_head.decoder.extra.weight"] = torch.ones(1)
    weights["sem_seg_head.decoder.low_img_fusion.bias"] = torch.ones(5)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(published(tmp_path / "file.pth", weights), tensors)
    message = str(error.value)
    assert "1 missing: sem_seg_head.decoder.low_corr_fusion.weight" in message
    assert "1 surplus: sem_seg_head.decoder.extra.weight" in message
    assert "sem_seg_head.decoder.low_img_fusion.bias is (5,), expected (2, 3)" in message
    assert all((tensor == 0).all() for tensor in tensors.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], value: float
) -> None:
    (name, tensor), *rest = tensors.items()
    save_checkpoint(tmp_path / "own.safetensors", dict([(name, torch.full_like(tensor, value)), *rest]), "errseg-b")
    with pytest.raises(CheckpointError, match=rf"not finite in 1 of {len(tensors)} parameters \({name}\)"):
        load_checkpoint(tmp_path / "own.safetensors", tensors)
    assert all((tensor == 0).all() for tensor in tensors.values())


class Code:
    """A pickle that would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    trace = tmp_path / "ran"
    torch.save({"model": Code(trace)}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="never executed"):
        load_checkpoint(tmp_path / "evil.pth", tensors)
    assert not trace.exists()


def test_a_plain_pickle_with_code_is_refused_without_a_word_of_pytorch(
    tmp_path: Path, tensors: dict[str, torch.Tensor], recwarn: pytest.WarningsRecorder
) -> None:
    trace = tmp_path / "ran"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"model": Code(trace)}))
    with pytest.raises(CheckpointError, match="never executed"):
        load_checkpoint(tmp_path / "evil.pth", tensors)
    assert not trace.exists() and not recwarn.list


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("size", [0, 10, 700])
def test_truncated_file(tmp_path: Path, tensors: dict[str, torch.Tensor], suffix: str, size: int) -> None:
    path = tmp_path / f"file{suffix}"
    if suffix == ".pth":
        published(path, whole_published())
    else:
        save_checkpoint(path, tensors, "errseg-b")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=f"file{suffix}"):
        load_checkpoint(path, tensors)


@pytest.mark.parametrize("content", [{"iteration": 1}, {"model": 3}, [torch.ones(1)]])
def test_file_without_a_model(tmp_path: Path, tensors: dict[str, torch.Tensor], content: object) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match="no entry 'model'"):
        load_checkpoint(tmp_path / "file.pth", tensors)


def test_a_place_that_cannot_be_written_is_an_error_and_a_new_folder_is_none(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    save_checkpoint(tmp_path / "new" / "own.safetensors", tensors, "errseg-b")
    with pytest.raises(InputError, match="own.safetensors cannot be written"):
        save_checkpoint(tmp_path / "new" / "own.safetensors" / "own.safetensors", tensors, "errseg-b")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["own.safetensors"]


def test_absent_file() -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        create_model("errseg-b", "/nowhere/errseg_b.pth")


def test_model_without_weights_says_where_to_get_them() -> None:
    with pytest.raises(CheckpointError, match="download the published file"):
        create_model("errseg-l")


def test_lite_round_trip_gives_the_same_logits(tmp_path: Path, random_lite: Segmenter) -> None:
    model = create_model("errseg-lite", random_weights=True)
    save_checkpoint(tmp_path / "lite.safetensors", model.named_tensors(), "errseg-lite")
    again = create_model("errseg-lite", tmp_path / "lite.safetensors")
    images, text = torch.randn(1, 3, 64, 64), torch.randn(3, 384)
    with torch.inference_mode():
        expected = model.network.eval()(images, text, 3).logits
        torch.testing.assert_close(again.network(images, text, 3).logits, expected)

"""`errseg export`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from errseg_model.__main__ import main
from errseg_model.backends.onnx_export import OnnxGraphs
from errseg_model.cli import export
from errseg_model.factory import Model

OPTIONS = ["export", "--input-size", "64x96", "--out"]


def test_the_files_are_described_and_checked(lite: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "lite"
    assert main([*OPTIONS, str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["encode.onnx", "fuse.onnx", "model.json"]
    printed = capsys.readouterr().out
    assert "logits differ by at most" in printed and "% of the pixels have the same class" in printed

    description = json.loads((out / "model.json").read_text())
    assert description["model"] == "errseg-lite" and description["input_size"] == [64, 96]
    assert description["check"]["max_difference"] < 1e-3 and description["check"]["mask_agreement"] > 0.999
    assert description["graphs"]["fuse"]["inputs"]["text"] == ["batch", "classes", 384]

    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(out / "encode.onnx")
    answer = dict(
        zip(description["graphs"]["encode"]["outputs"], session.run(None, {"images": images.numpy()}), strict=True)
    )
    with torch.inference_mode():
        expected = lite.network.encode(images)
    np.testing.assert_allclose(answer["dense16"], expected.dense.stride16, atol=1e-4)
    np.testing.assert_allclose(answer["guidance4"], expected.guidance.decoder[2], atol=1e-3)


@pytest.fixture
def exported_before(lite_graphs: OnnxGraphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """`export_onnx` answers at once."""
    monkeypatch.setattr("errseg_model.backends.onnx_export.export_onnx", lambda *_: lite_graphs)


@pytest.mark.usefixtures("exported_before")
def test_files_that_differ_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_DIFFERENCE", 1e-12)
    assert main([*OPTIONS, str(tmp_path / "out")]) == 2
    assert "differ from PyTorch by" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_that_are_no_numbers_do_not_pass_the_check(lite: Model, lite_graphs: OnnxGraphs) -> None:
    class Broken(torch.nn.Module):
        encode = staticmethod(lite.network.encode)

        def fuse(self, *inputs: object) -> torch.Tensor:
            return lite.network.fuse(*inputs) * float("nan")  # type: ignore[arg-type]

    with pytest.raises(export.InputError, match="differ from PyTorch by inf"):
        export.check(Broken(), lite.config, lite_graphs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "errseg-x"], "unknown model"),
        (["--model", "errseg-b"], "has no weights in this package"),
        (["--checkpoint", "absent.pth"], "does not exist"),
    ],
)
def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main([*OPTIONS, str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("")
    assert main([*OPTIONS, str(tmp_path / "out")]) == 2
    assert "name a folder" in capsys.readouterr().err


def test_a_size_that_is_no_multiple(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", "--input-size", "100x100", "--out", str(tmp_path)])
    assert ended.value.code == 2

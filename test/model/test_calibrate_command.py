"""`errseg calibrate` with the embedded model on tiny pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from errseg_model import Segmenter
from errseg_model.__main__ import main
from errseg_model.datasets import create_dataset
from errseg_model.datasets.camvid import CLASSES
from errseg_model.factory import create_model


@pytest.fixture
def arguments(tiny_camvid: Path, tmp_path: Path) -> list[str]:
    """Of the command, on labels that are what the model says where it is sure, and another class elsewhere."""
    segmenter = Segmenter.from_pretrained("errseg-lite", device="cpu", input_size=(64, 96))
    dataset = create_dataset("camvid", tiny_camvid, "val")
    encoded = segmenter.encode(dataset.vocabulary)
    for sample, files in zip(dataset, dataset.samples, strict=True):
        result = segmenter.segment([sample.image], encoded)[0]
        wrong = result.confidence + np.random.default_rng(0).uniform(-0.1, 0.1, (36, 48)) < np.median(result.confidence)
        cv2.imwrite(str(files.label), ((result.mask + wrong) % 11).astype(np.uint8))
    return ["calibrate", "--dataset", "camvid", "--root", str(tiny_camvid), "--device", "cpu", "--input-size", "64x96"]


def test_calibrated_weights_differ_in_the_last_layer_and_err_less(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "calibrated.safetensors"
    assert main([*arguments, "--out", str(out)]) == 0
    message = capsys.readouterr().out
    before, after = (float(message.split(word)[1].split(",")[0].split(";")[0]) for word in ("(val) ", "now "))
    assert after < before
    first, calibrated = create_model("errseg-lite").named_tensors(), create_model("errseg-lite", out).named_tensors()
    assert {name for name in first if not torch.equal(first[name], calibrated[name])} == {
        "decoder.head.weight",
        "decoder.head.bias",
    }


def test_pictures_of_ones_own_calibrate_into_a_new_folder(
    arguments: list[str], tiny_camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = tmp_path / "classes.yaml"
    classes.write_text("".join(f"{label}: {name}\n" for label, name in enumerate(CLASSES)))
    split = tiny_camvid / "val"
    folders = ["--images", str(split / "images"), "--labels", str(split / "labels"), "--classes", str(classes)]
    messages = []
    for data in (arguments[1:5], folders):
        out = tmp_path / "new" / f"{len(messages)}.safetensors"
        assert main(["calibrate", *data, *arguments[5:], "--out", str(out)]) == 0
        messages.append(capsys.readouterr().out)
    assert "images (all)" in messages[1]
    assert [message.split("; expected")[0] for message in messages] == [messages[0].split("; expected")[0]] * 2


def test_weights_are_written_as_safetensors_only(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "weights.pth")]) == 2
    assert "--out must be a .safetensors file" in capsys.readouterr().err


def test_a_split_that_is_wholly_right_or_wrong_cannot_calibrate(
    arguments: list[str], tiny_camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tiny_camvid / "val/labels").iterdir():
        cv2.imwrite(str(path), np.full((36, 48), 10, np.uint8))
    assert main([*arguments, "--out", str(tmp_path / "c.safetensors")]) == 2
    assert "needs pixels that are right and pixels that are wrong" in capsys.readouterr().err

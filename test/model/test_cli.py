"""The command `errseg`, as its own process where exit status and output count."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from errseg_model import SegmentationResult, Segmenter, create_model
from errseg_model.__main__ import main
from errseg_model.checkpoint import save_checkpoint
from errseg_model.cli.options import image_size, input_size
from errseg_model.files import InputError, whole, write_json
from errseg_model.result import UNLABELLED


@pytest.fixture(scope="session")
def lite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """errseg-lite with random weights, as a file."""
    path = tmp_path_factory.mktemp("weights") / "lite.safetensors"
    save_checkpoint(path, create_model("errseg-lite", random_weights=True).named_tensors(), "errseg-lite")
    return path


@pytest.fixture
def picture(tmp_path: Path, image: NDArray[np.uint8]) -> Path:
    cv2.imwrite(str(tmp_path / "street.png"), image)
    return tmp_path / "street.png"


def options(checkpoint: Path) -> list[str]:
    return ["--checkpoint", str(checkpoint), "--device", "cpu", "--input-size", "64x96"]


def test_segment_writes_what_the_interface_says(tmp_path: Path, picture: Path, lite_file: Path) -> None:
    second = tmp_path / "second.jpg"
    cv2.imwrite(str(second), np.zeros((31, 17, 3), np.uint8))
    out, arrays = tmp_path / "out", tmp_path / "arrays.npz"
    vocabulary = "road; car, automobile; sky; tree; traffic sign"
    arguments = ["segment", str(picture), str(second), "--vocabulary", vocabulary, "--out", str(out)]
    assert main([*arguments, "--save-arrays", str(arrays), "--max-classes", "3", *options(lite_file)]) == 0

    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"{stem}_{kind}.png" for stem in ("street", "second") for kind in ("mask", "confidence", "overlay")]
        + ["result.json"]
    )
    saved = np.load(arrays)
    assert saved["text_embeddings"].shape == (5, 384) and saved["selected"].shape == (3,)
    assert saved["logits"].shape == (3, 16, 22) and saved["mask"].shape == (50, 70)
    mask = cv2.imread(str(out / "street_mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, saved["mask"])
    assert cv2.imread(str(out / "street_confidence.png"), cv2.IMREAD_UNCHANGED).shape == (50, 70)
    assert cv2.imread(str(out / "street_overlay.png")).shape == (50, 70, 3)

    result = json.loads((out / "result.json").read_text())
    assert result["vocabulary"] == ["road", "car, automobile", "sky", "tree", "traffic sign"]
    first, other = result["images"]
    assert (first["height"], first["width"], other["height"], other["width"]) == (50, 70, 31, 17)
    assert sum(first["shares"].values()) == pytest.approx(1)
    assert first["selected"] == [list(first["scores"])[index] for index in saved["selected"]]


def test_pixels_without_a_class_belong_to_no_share(
    tmp_path: Path, picture: Path, lite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As weights of a training that diverged give them."""
    segment = Segmenter.segment

    def unlabelled(*arguments: Any, **options: Any) -> list[SegmentationResult]:
        (result,) = segment(*arguments, **options)
        result.mask[:10] = UNLABELLED
        return [result]

    monkeypatch.setattr(Segmenter, "segment", unlabelled)
    arguments = ["segment", str(picture), "--vocabulary", "road; sky", "--out", str(tmp_path / "out")]
    assert main([*arguments, *options(lite_file)]) == 0
    shares = json.loads((tmp_path / "out/result.json").read_text())["images"][0]["shares"]
    assert set(shares) == {"road", "sky"} and sum(shares.values()) == pytest.approx(0.8)


def test_more_than_255_classes_make_a_16_bit_mask(tmp_path: Path, picture: Path, lite_file: Path) -> None:
    vocabulary = tmp_path / "many.json"
    vocabulary.write_text(json.dumps([f"thing {number}" for number in range(300)]))
    arguments = ["segment", str(picture), "--vocabulary", str(vocabulary), "--out", str(tmp_path / "out")]
    assert main([*arguments, *options(lite_file)]) == 0
    assert cv2.imread(str(tmp_path / "out/street_mask.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_evaluate_prints_and_writes(tiny_camvid: Path, lite_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tiny_camvid / "figures.json"
    arguments = ["evaluate", "--dataset", "camvid", "--root", str(tiny_camvid), "--split", "val"]
    assert main([*arguments, "--json", str(file), *options(lite_file)]) == 0
    figures = json.loads(file.read_text())
    assert {"miou", "pixel_accuracy", "iou", "frames", "latency_ms"} <= set(figures)
    assert f"mIoU {figures['miou'] * 100:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["evaluate", "benchmark"])
def test_a_json_that_cannot_be_written_does_not_cost_the_figures(
    tiny_camvid: Path, lite_file: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    own = {
        "evaluate": ["--dataset", "camvid", "--root", str(tiny_camvid), "--split", "val"],
        "benchmark": ["--num-classes", "2", "--runs", "1", "--image-size", "64x64"],
    }[name]
    status = main([name, *own, "--json", str(tiny_camvid / "train" / ("a" * 300)), *options(lite_file)])
    said = capsys.readouterr()
    assert status == 2 and "cannot be written" in said.err
    assert {"evaluate": "mIoU ", "benchmark": "total"}[name] in said.out


def test_letters_that_the_terminal_lacks_do_not_cost_the_figures(tmp_path: Path) -> None:
    program = "from errseg_model.cli.figures import *; show_figures('\u9053 7', {'a': 1}, Path('f.json'))"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "\\u9053 7\n")
    assert json.loads((tmp_path / "f.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment", "absent.png", "--vocabulary", "a", "--out", "o"], "absent.png does not exist"),
        (["segment", "a" * 300, "--vocabulary", "a", "--out", "o"], "does not exist or is not a file"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--checkpoint", "c" * 300], "does not exist"),
        (["segment", "broken.png", "--vocabulary", "a", "--out", "o"], "broken.png cannot be decoded"),
        (["segment", "street.png", "x/street.png", "--vocabulary", "a", "--out", "o"], "called street"),
        (
            ["segment", "street.png", "street_mask.png", "--vocabulary", "a", "--out", "."],
            "_mask.png would be over",
        ),
        (["segment", "street.png", "--vocabulary", "a", "--out", "street.png"], "is no folder that this user may"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--save-arrays", ""], "cannot be written: it is"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--save-arrays", "street.png/a"], "is no folder"),
        (["segment", "street.png", "--vocabulary", "a; A", "--out", "o"], "same name"),
        (["segment", "street.png", "--vocabulary", "none.yaml", "--out", "o"], "none.yaml"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--input-size", "100x100"], "multiples"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--device", "tpu"], "device must be"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--model", "sam"], "unknown model 'sam'"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--max-classes", "0"], "at least 1"),
        (["segment", "street.png", "--vocabulary", "a", "--out", "o", "--checkpoint", "c.pth"], "c.pth"),
        (["evaluate", "--dataset", "camvid", "--root", "nowhere"], "is no folder"),
        (["evaluate", "--dataset", "camvid", "--root", ".", "--json", "street.png/a.json"], "street.png is no folder"),
        (["benchmark", "--num-classes", "2", "--json", ""], "cannot be written: it is a folder"),
        (["export", "--out", "street.png/a"], "street.png is no folder"),
        (
            ["calibrate", "--dataset", "camvid", "--root", ".", "--out", "street.png/a.safetensors"],
            "street.png is no folder",
        ),
        (["evaluate", "--dataset", "cityscapes", "--root", "."], "does not hold Cityscapes in a known layout"),
        (["evaluate", "--dataset", "voc-20", "--root", ".", "--split", "test"], "unknown split 'test'"),
        (["evaluate", "--dataset", "kitti", "--root", "."], "invalid choice"),
        (["evaluate", "--dataset", "camvid"], "expected --dataset and --root (and --split) of a published"),
        (["evaluate", "--images", "i", "--labels", "l"], "or --images, --labels, --classes"),
        (["evaluate", "--dataset", "camvid", "--root", ".", "--images", "i"], "or --images, --labels, --classes"),
        (
            [
                "calibrate",
                "--images",
                "i",
                "--labels",
                "l",
                "--classes",
                "c",
                "--split",
                "val",
                "--out",
                "c.safetensors",
            ],
            "or --images, --labels, --classes",
        ),
        (["evaluate", "--images", "i", "--labels", "l", "--classes", "c"], "i is no folder"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    tmp_path: Path,
    picture: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:40])
    (tmp_path / "street_mask.png").write_bytes(picture.read_bytes())
    try:
        status = main(arguments)
    except SystemExit as stop:  # argparse
        status = int(stop.code or 0)
    error = capsys.readouterr().err
    assert status == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "o").exists()


def test_as_a_command_without_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "errseg_model", "segment", "absent.png", "--vocabulary", "a", "--out", "o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "errseg: error: image absent.png does not exist or is not a file"


def test_no_ros_is_imported() -> None:
    code = "import sys, errseg_model.__main__, errseg_model; sys.exit('rclpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (image_size, "384x512", (384, 512)),
        (image_size, "1x1", (1, 1)),
        (image_size, "16384x16384", (16384, 16384)),
        (image_size, "0720x01280", (720, 1280)),
        *((image_size, text, "expected HEIGHTxWIDTH such as 384x512") for text in ("", "360", "720p", "1x", "x1")),
        *((image_size, text, f"16384x16384, got {text!r}") for text in ("0x5", "5x0", "16385x1", "1x16385")),
        *((image_size, text, f"got {text!r}") for text in ("1X1", "1x1x1", "-1x1", "1.5x2", " 1x1", "1x1\n", "٣x٣")),
        (image_size, "9" * 5000 + "x1", "expected HEIGHTxWIDTH"),
        (input_size, "384x512", (384, 512)),
        (input_size, "32x32", (32, 32)),
        (input_size, "360x640", "multiples of 32 (height, width), got [360, 640]"),
        (input_size, "0x32", "expected HEIGHTxWIDTH"),
        (input_size, "720p", "expected HEIGHTxWIDTH"),
    ],
)
def test_sizes(kind: Callable[[str], tuple[int, int]], text: str, expected: tuple[int, int] | str) -> None:
    if isinstance(expected, tuple):
        assert kind(text) == expected
    else:
        with pytest.raises(argparse.ArgumentTypeError, match=re.escape(expected)):
            kind(text)


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    def write_half(path: Path) -> None:
        with whole(path) as partial:
            partial.write_text("half")
            raise RuntimeError("power cut")

    (tmp_path / "old.json").write_text("old")
    for name in ("new.json", "old.json"):
        with pytest.raises(RuntimeError, match="power cut"):
            write_half(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), whole(tmp_path / "file" / "below.json"):
        pass


@pytest.mark.parametrize("place", ["", ".", "..", "/", "below/.."])
def test_a_place_without_a_name_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot be written: it is a folder, expected a file in one"):
        write_json(Path(place), {})


def test_pytorch_is_imported_only_when_it_is_needed() -> None:
    code = (
        "import sys, errseg_model.cli.options, errseg_model.files, errseg_model.sample_drive; "
        "import errseg_model.__main__; "
        "assert 'torch' not in sys.modules; errseg_model.Segmenter; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

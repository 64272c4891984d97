from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from errseg_model import Segmenter
from errseg_model.sample_drive import SampleDrive
from errseg_ros.evaluate_bag.main import main, make_parser, settings_of
from errseg_ros.sample_bag import write_sample_bag

pytestmark = pytest.mark.timeout(1200)  # loading the model takes a minute where every core is busy

TOPICS = ("--image-topic", "/camera/image", "--label-topic", "/camera/labels")
SMALL = ("--input-size", "64x64")
NAMES = {0: "sky", 1: "road"}
GREY = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_sample_bag(path, SampleDrive(height=48, width=64, duration_s=4.0))
    return path


def command(arguments: Sequence[Any], prepare: str = "") -> list[str]:
    """The real command in a process of its own, after some lines of Python."""
    code = (
        f"import sys\n{prepare}\n"
        "from errseg_ros.evaluate_bag.main import main\n"
        "status = main(sys.argv[1:])\n"
        "print('ROS:', *(name for name in ('rclpy', 'sensor_msgs') if name in sys.modules))\n"
        "sys.exit(status)"
    )
    return [sys.executable, "-c", code, *(str(argument) for argument in arguments)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(*arguments: Any, prepare: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(arguments, prepare), capture_output=True, text=True, timeout=600, env=ENVIRONMENT, **options
    )


def figures(out: Path) -> dict[str, Any]:
    """What must be equal in two runs."""
    report = json.loads((out / "report.json").read_text())
    return {name: report[name] for name in ("miou", "pixel_accuracy", "iou", "frames", "flicker", "confidence")}


def frames(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "frames.parquet").drop("latency_ms")


@pytest.fixture(scope="module")
def whole(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody disturbs."""
    out = tmp_path_factory.mktemp("out") / "whole"
    result = run(drive, *TOPICS, *SMALL, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr and "Warning" not in result.stderr
    assert "ROS:\n" in result.stdout  # without --live nothing of ROS is imported
    assert "40 images of 1 bag, mIoU " in result.stdout
    assert "40/40" in result.stderr
    return out


def test_command_writes_the_report_and_leaves_nothing_else(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == ["frames.parquet", "report.html", "report.json"]
    report = json.loads((whole / "report.json").read_text())
    assert report["frames"] == 40
    assert 0.05 < report["miou"] < 1
    assert report["bags"][0]["labelled"] == 40
    assert not report["interrupted"]
    assert len(frames(whole)) == 40


def test_process_that_is_killed_is_gone_on_with_to_the_same_numbers(
    drive: Path, whole: Path, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    often = "import errseg_ros.evaluate_bag.run as run\nrun.SAVE_SECONDS = 0.0"
    arguments = (drive, *TOPICS, *SMALL, "--out", out)
    state = out / ".evaluate_bag"

    def reached(index: int) -> bool:
        try:
            (file,) = state.glob("bag-*.npz")
            with np.load(file, allow_pickle=False) as arrays:
                return bool(json.loads(str(arrays["facts"]))["next_index"] >= index)
        except (OSError, ValueError):
            return False

    process = subprocess.Popen(
        command(arguments, often), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    )
    wait_for(lambda: reached(5) or process.poll() is not None, seconds=600)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (out / "report.html").exists()
    refused = run(*arguments)
    assert refused.returncode == 2 and "--resume" in refused.stderr
    result = run(*arguments, "--resume")
    assert result.returncode == 0, result.stderr
    assert figures(out) == figures(whole)
    assert frames(out).equals(frames(whole))
    assert not state.exists()


def test_ctrl_c_reports_what_is_done_and_is_gone_on_with(drive: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stop = (
        "import os, signal\n"
        "from errseg_ros.evaluate_bag.accumulator import Accumulator\n"
        "add = Accumulator.add\n"
        "def stopping(self, answer):\n"
        "    if answer.index == 6: os.kill(os.getpid(), signal.SIGINT)\n"
        "    add(self, answer)\n"
        "Accumulator.add = stopping"
    )
    arguments = (drive, *TOPICS, *SMALL, "--out", out)
    result = run(*arguments, prepare=stop)
    assert result.returncode == 130
    assert "Traceback" not in result.stderr
    assert "interrupted; the report is of the images until then. Give the same command with --resume" in result.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["interrupted"] and report["frames"] == 7
    assert frames(out).equals(frames(whole)[:7])
    result = run(*arguments, "--stride", 2, "--resume")
    assert result.returncode == 2
    assert "--stride was 1 and is 2" in result.stderr
    result = run(*arguments, "--resume")
    assert result.returncode == 0, result.stderr
    assert figures(out) == figures(whole)
    assert frames(out).equals(frames(whole))


def test_words_that_change_and_a_comparison_are_reported(drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        *(drive, *TOPICS, *SMALL, "--stride", 10, "--vocabulary", "road; sky; dragon", "--out", out),
        *("--vocabulary-at", "2=street, road; sky", "--compare", "vocabulary=road; sky; car", "input-size=96x96"),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((out / "report.json").read_text())
    assert [entry["since"] for entry in report["vocabularies"]] == [0.0, 2.0]
    assert report["frames"] == 4
    assert 0 < report["disagreement"] < 1
    assert report["compared_with"] == "input size 96x96, the vocabulary road; sky; car"
    assert "car" in report["classes_missing_in_vocabulary"]
    assert report["classes_missing_in_labels"] == ["dragon"]


@pytest.mark.parametrize("limit", [2_000, 60_000])
def test_full_disk_is_one_error_without_a_half_written_report(drive: Path, tmp_path: Path, limit: int) -> None:
    out = tmp_path / "out"

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = run(drive, *TOPICS, *SMALL, "--stride", 8, "--out", out, preexec_fn=full)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "cannot be written: File too large" in result.stderr
    left = {path.name for path in out.rglob("*")}
    assert not left & {"report.html", "report.json", "frames.parquet"}
    assert not any("partial" in name for name in left)


def refused(capfd: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """The one line that a wrong command ends in; argparse ends by itself."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as error:
        status = int(str(error.code))
    assert status == 2
    (*_, line) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("evaluate_bag: error: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stride", "0"), "expected a whole number from 1 on"),
        (("--stride", "x"), "expected a whole number from 1 on"),
        (("--tolerance", "-1"), "expected a number from 0 on"),
        (("--tolerance", "nan"), "expected a number from 0 on"),
        (("--confidence-threshold", "2"), "expected a number from 0 to 1"),
        (("--input-size", "63x64"), "32"),
        (("--vocabulary", "road; road"), "the same name"),
        (("--vocabulary-at", "road"), "expected SECONDS=V"),
        (("--vocabulary-at", "x=road"), "expected a number"),
        (("--vocabulary-at", "1=road", "--vocabulary-at", "1=sky"), "two vocabularies are to come into force after 1"),
        (("--vocabulary", "road", "--vocabulary-at", "0=sky"), "two vocabularies"),
        (("--compare", "modell=errseg-b"), "--compare takes KEY=VALUE with model, checkpoint"),
        (("--compare", "model"), "--compare takes KEY=VALUE"),
        (("--compare", "max-classes=x"), "--compare"),
        (("--compare", "min-share=x"), "--compare"),
        (("--compare", "model=errseg-lite"), "names what is evaluated anyway"),
        (("--labels", "labels.yaml"), "name the labels of a --label-topic"),
        (("--label-topic", "/l", "--labels", "absent.yaml"), "absent.yaml cannot be read"),
        (("--label-topic", "/l", "--labels", "a", "--palette", "b"), "not allowed with"),
        (("--image-topic", "/up"), "there is no topic /up: the image topics of bag .* are /image"),
        (("--label-topic", "/info"), "no images: the image topics"),
    ],
)
def test_wrong_options_end_in_one_line(
    ros: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    path = ros.bag([("/image", 1, ros.image(ros.start, GREY)), ("/info", 2, ros.label_info(NAMES))])
    assert re.search(message, refused(capfd, path, *arguments, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_bag_that_is_none_ends_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refused(capfd, tmp_path / "absent", "--out", tmp_path / "out")
    (tmp_path / "notes.txt").write_text("words")
    assert "is no rosbag2" in refused(capfd, tmp_path / "notes.txt", "--out", tmp_path / "out")


def test_output_that_cannot_be_written_is_found_out_first(
    ros: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = ros.bag([("/image", 1, ros.image(ros.start, GREY))])
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("a" * 300)):
        line = refused(capfd, path, "--model", "errseg-b", "--out", out)
        assert "cannot be written" in line
    long = tmp_path / ("a" * 300) / "bag"
    assert "is not a folder" in refused(capfd, path, "--output-bag", long, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--backend", "abacus"),
        ("--precision", "float8"),
        ("--min-share", "2"),
        ("--compare", "backend=abacus"),
        ("--compare", "precision=float8"),
        ("--compare", "resize=crop"),
    ],
)
def test_a_way_to_run_the_model_that_there_is_not_is_refused(
    ros: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, str]
) -> None:
    path = ros.bag([("/image", 1, ros.image(ros.start, GREY))])
    line = refused(capfd, path, *arguments, "--out", tmp_path / "out")
    assert arguments[1].rpartition("=")[2] in line


def test_every_way_to_run_the_model_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(Segmenter, "from_pretrained", lambda **options: given.update(options))
    wanted = {
        "model": "errseg-b", "checkpoint": Path("file"), "device": "cpu", "input_size": (64, 96), "resize": "stretch",
        "max_classes": 4, "min_share": 0.1, "backend": "compiled", "precision": "bfloat16",
    }  # fmt: skip
    options = (
        *("--checkpoint", "file", "--device", "cpu", "--input-size", "64x96", "--resize", "stretch"),
        *("--max-classes", "4", "--min-share", "0.1", "--backend", "compiled", "--precision", "bfloat16"),
    )
    settings = settings_of(make_parser().parse_args(["bag", "--out", "out", "--model", "errseg-b", *options]))
    settings.model.load()
    assert given == wanted
    pairs = [f"{option[2:]}={value}" for option, value in zip(options[::2], options[1::2], strict=True)]
    given.clear()
    compared = settings_of(
        make_parser().parse_args(
            ["bag", "--out", "out", "--device", "cpu", "--compare", "model=errseg-b"]
            + [pair for pair in pairs if not pair.startswith("device")]
        )
    )
    assert compared.comparison is not None
    compared.comparison.model.load()
    assert given == wanted
    assert compared.comparison.in_words(compared.model) == (
        "errseg-b (file), input size 64x96, max_classes 4, resize stretch, least share 0.1, backend compiled, "
        "precision bfloat16"
    )


def test_paths_need_not_be_utf_8(ros: Any, tmp_path: Path) -> None:
    path = ros.bag([("/image", 1, ros.image(ros.start, GREY))], name=os.fsdecode(b"caf\xe9"))
    out = tmp_path / os.fsdecode(b"out\xe9")
    result = run(path, *SMALL, "--vocabulary", "road; sky", "--out", out, "--output-bag", tmp_path / "with_masks")
    assert result.returncode == 0, result.stderr
    assert r"out\udce9/report.html" in result.stdout
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["bags"][0]["name"] == "caf\\udce9"
    assert r"caf\udce9" in (out / "report.html").read_text(encoding="utf-8")
    with (out / "frames.parquet").open("rb") as table:  # polars takes no such path
        assert pl.read_parquet(table)["bag"].to_list() == ["caf\\udce9"]


def test_unknown_model_leaves_nothing(ros: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = ros.bag([("/image", 1, ros.image(ros.start, GREY))])
    assert "errseg-x" in refused(capfd, path, "--model", "errseg-x", "--out", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())

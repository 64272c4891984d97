"""The command: what it refuses, the room it makes, and whole runs over real ROS 2 middleware."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from errseg_model.errors import InputError
from errseg_model.sample_drive import CLASSES, SampleDrive
from errseg_ros.demo.main import MARK, main, make_room
from errseg_ros.isolation import LAST_DOMAIN, isolate, own_domain
from errseg_ros.sample_bag import write_sample_bag

DEMO = [sys.executable, "-m", "errseg_ros.demo.main"]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((96, 128, 3), 60 * number, np.uint8))
    return folder


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def node_pid(output: str) -> int:
    """From the line `node  errseg_node starts as process PID, ...`."""
    (line,) = [line for line in output.splitlines() if line.strip().startswith("node ")]
    return int(line.split("process ")[1].split(",")[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "missing.mp4"], "source missing.mp4 does not exist"),
        (["--image-topic", "/camera/image"], "--image-topic: expected a --source that is a bag"),
        (["--source", "{pictures}", "--image-topic", "/a"], "is not a bag"),
        (["--rate", "2", "--duration", "0.1"], "expected time for one image or more"),
        (["--vocabulary", "sky; road", "--vocabulary-after", "sky; road, street"], "have the same names"),
        (["--source", "{pictures}", "--out", "{pictures}"], "choose another --out"),
        (["--source", "{pictures}", "--out", "{pictures}/0.png"], "cannot be written"),
    ],
)
def test_wrong_input_is_one_message(
    pictures: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = [] if "--out" in arguments else ["--out", str(pictures.parent / "out")]
    assert main([argument.format(pictures=pictures) for argument in arguments] + out) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("errseg_demo: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (pictures.parent / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0"], "expected a number above 0"),
        (["--duration", "soon"], "expected a number above 0"),
        (["--vocabulary", "sky; sky"], "same name"),
    ],
)
def test_wrong_option_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    error = capsys.readouterr().err
    assert arguments[0] in error
    assert message in error


def test_room_is_made_and_foreign_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    make_room(out, None)
    ours = ["overlay_0000.png", "overlay_12345.png", "before.png", "animation.webp", "summary.json", "node.log"]
    foreign = ["overlay_new.png", "notes.txt", "my_before.png"]
    for name in ours + foreign:
        (out / name).write_text(name)
    (out / "drive").mkdir()
    (out / "drive" / MARK).touch()
    make_room(out, tmp_path / "clip.mp4")
    assert {entry.name for entry in out.iterdir()} == {*foreign, "drive", MARK}
    make_room(out, None)
    assert {entry.name for entry in out.iterdir()} == {*foreign, MARK}


def test_a_folder_that_cannot_be_written_is_one_clear_message() -> None:
    """Of the kernel: not even root writes there."""
    with pytest.raises(InputError, match="--out /proc/self cannot be written: "):
        make_room(Path("/proc/self"), None)


def test_an_error_inside_a_domain_of_its_own_stays_what_it_is() -> None:
    with pytest.raises(PermissionError, match="of the body"), own_domain(7):
        raise PermissionError("of the body")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_files_that_another_user_left_take_no_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o011 != 0o011:
            path.chmod(path.stat().st_mode | 0o011)
    for domain in range(1, LAST_DOMAIN + 1):
        (tmp_path / f"errseg_ros_domain_{domain}.lock").touch(0o644)
    os.seteuid(65534)
    try:
        with own_domain(7) as first, own_domain(7) as second:
            assert (first, second) == (8, 9)
    finally:
        os.seteuid(0)


def test_no_domain_left_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ExitStack() as stack:
        for _ in range(LAST_DOMAIN):
            stack.enter_context(own_domain(0))
        with pytest.raises(InputError, match="all ROS domains"):
            stack.enter_context(own_domain(0))


def test_a_domain_that_the_user_has_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vehicle's own node may run in it, and would get the demo's images and words."""
    environment = {"ROS_DOMAIN_ID": "7", "AMENT_PREFIX_PATH": "", "PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", environment)
    with own_domain(6) as vehicles, ExitStack() as stack:
        isolate(stack)
        assert int(environment["ROS_DOMAIN_ID"]) != vehicles == 7
        assert "FASTDDS_DEFAULT_PROFILES_FILE" not in environment


def test_an_installed_package_is_run_with_its_fast_dds_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/errseg_ros").touch()
    environment = {"AMENT_PREFIX_PATH": str(tmp_path), "PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", environment)
    with ExitStack() as stack:
        isolate(stack)
    assert environment["FASTDDS_DEFAULT_PROFILES_FILE"] == f"{tmp_path}/share/errseg_ros/config/fastdds.xml"


def test_room_is_not_made_at_the_cost_of_others(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "metadata.yaml").write_text("of somebody's own drive")
    with pytest.raises(InputError, match=r"drive is in the way, and without \.errseg_demo"):
        make_room(tmp_path, None)
    make_room(tmp_path, tmp_path / "drive")
    with pytest.raises(InputError, match="drive is in the way"):  # although the folder is ours now
        make_room(tmp_path, None)
    assert (tmp_path / "drive" / "metadata.yaml").exists()
    (tmp_path / "before.png").write_text("a picture")
    with pytest.raises(InputError, match="which is made new; choose another --out"):
        make_room(tmp_path, tmp_path / "before.png")
    assert (tmp_path / "before.png").exists()


def test_pictures_of_others_are_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "before.png").write_text("precious")
    with pytest.raises(InputError, match=r"before\.png is in the way, and without \.errseg_demo"):
        make_room(tmp_path, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["before.png"]


def test_sample_drive_end_to_end(tmp_path: Path, ros_environment: dict[str, str]) -> None:
    drive, out = tmp_path / "town", tmp_path / "out"
    write_sample_bag(drive, SampleDrive(height=96, width=128, duration_s=3.0))
    arguments = [*DEMO, "--source", str(drive), "--out", str(out), "--duration", "3"]
    result = subprocess.run(arguments, env=ros_environment, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stderr
    assert not is_running(node_pid(result.stdout))
    figures = json.loads((out / "summary.json").read_text())
    before, after = figures["before"], figures["after"]
    assert figures["frames_in"] >= 30
    assert figures["frames_out"] == before["frames"] + after["frames"] == len(figures["masks"])
    assert min(before["frames"], after["frames"]) >= 1
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p90"] <= figures["latency_ms"]["p99"]
    assert figures["vocabulary_change"]["reply_ms"] > 0
    assert figures["vocabulary_change"]["first_mask_ms"] > 0
    assert (before["database_version"], after["database_version"]) == (1, 2)
    assert tuple(before["vocabulary"]) == CLASSES
    assert before["class_ids"] == list(range(len(CLASSES)))
    assert after["class_ids"][after["vocabulary"].index("sky")] == 0, "sky keeps its id"
    assert min(set(after["class_ids"]) - {0}) == len(CLASSES), "no id is given twice"
    for side in (before, after):
        assert 0.1 < side["miou"] <= 1, "the masks show the street"
        assert set(side["iou"]) == set(CLASSES)
    overlays = sorted(out.glob("overlay_*.png"))
    assert [overlay.name for overlay in overlays] == [mask["overlay"] for mask in figures["masks"]]
    assert all(cv2.imread(str(overlay)).shape == (96, 128, 3) for overlay in overlays)
    with Image.open(out / "animation.webp") as animation:
        assert animation.n_frames == len(overlays)
    assert {"before.png", "after.png", "node.log"} <= {entry.name for entry in out.iterdir()}
    assert "mIoU" in result.stdout
    assert "[INFO]" not in result.stdout + result.stderr


def test_pictures_too_few_for_a_change_are_shown_until_it_is_there(
    tmp_path: Path, pictures: Path, ros_environment: dict[str, str]
) -> None:
    out = tmp_path / "out"
    words = ["--vocabulary", "sky; road", "--vocabulary-after", "moon; road, street; tree"]
    result = subprocess.run(
        [*DEMO, "--source", str(pictures / "0.png"), "--out", str(out), *words],
        env=ros_environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads((out / "summary.json").read_text())
    assert figures["after"]["class_ids"] == [2, 1, 3]
    assert min(figures["before"]["frames"], figures["after"]["frames"]) >= 1
    assert "miou" not in figures["before"]


def test_node_that_dies_is_one_message(tmp_path: Path, pictures: Path, ros_environment: dict[str, str]) -> None:
    (tmp_path / "short_lived.py").write_text("print('no weights here'); raise SystemExit(1)")
    code = (
        "import functools, sys, errseg_ros.demo.main as demo\n"
        "demo.NodeProcess = functools.partial(demo.NodeProcess, module='short_lived')\n"
        "sys.exit(demo.main(sys.argv[1:]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "--source", str(pictures), "--out", str(tmp_path / "out")],
        env={**ros_environment, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 1
    assert "errseg_demo: errseg_node ended with status 1" in result.stderr
    assert "no weights here" in result.stderr
    assert "Traceback" not in result.stderr


def test_interrupted_demo_ends_the_node(tmp_path: Path, pictures: Path, ros_environment: dict[str, str]) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    demos = [
        subprocess.Popen(
            [*DEMO, "--source", str(pictures), "--out", str(tmp_path / number.name)],
            env=ros_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in numbers
    ]
    for demo, number in zip(demos, numbers, strict=True):
        assert demo.stdout is not None
        node = node_pid(demo.stdout.readline())
        assert is_running(node)
        os.kill(demo.pid, number)
        _, errors = demo.communicate(timeout=60)
        assert demo.returncode == 130
        assert not is_running(node)
        assert "errseg_demo: interrupted" in errors
        assert "Traceback" not in errors

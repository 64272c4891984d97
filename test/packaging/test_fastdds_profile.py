"""config/fastdds.xml is in use in this environment, and images get through with it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PROFILE = REPOSITORY / "config" / "fastdds.xml"
VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
BOOTSTRAP = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH")
MB = 1 << 20


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "use_fastdds_profile", REPOSITORY / "tools" / "use_fastdds_profile.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fresh_environment(ros_environment: dict[str, str]) -> dict[str, str]:
    """As in a new shell: nothing of what this Python's start has set."""
    return {name: value for name, value in ros_environment.items() if name not in (VARIABLE, *BOOTSTRAP)}


def python(code: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_every_python_uses_the_profile(fresh_environment: dict[str, str]) -> None:
    used = Path(python(f"import os; print(os.environ[{VARIABLE!r}])", fresh_environment))
    assert used.read_text().replace(" ", "").count("<type>SHM</type>") == 1
    assert used == PROFILE or used.name == "errseg_fastdds.xml"


def test_profile_and_library_path_are_set_together(fresh_environment: dict[str, str]) -> None:
    code = "import os, rclpy; print(all(os.environ.get(name) for name in {names!r}))"
    assert python(code.format(names=(VARIABLE, *BOOTSTRAP)), fresh_environment) == "True"


def test_a_profile_of_the_user_stays(fresh_environment: dict[str, str]) -> None:
    environment = {**fresh_environment, VARIABLE: "/etc/own.xml"}
    assert python(f"import os; print(os.environ[{VARIABLE!r}])", environment) == "/etc/own.xml"


@pytest.mark.parametrize(
    ("wanted", "shared_memory", "expected"),
    [
        (64 * MB, 24_000 * MB, 64 * MB),
        (64 * MB, 384 * MB, 64 * MB),
        (64 * MB, 64 * MB, 64 * MB // 6),
        (64 * MB, 16 * MB, 8 * MB),
    ],
)
def test_segments_of_six_processes_fit(wanted: int, shared_memory: int, expected: int, tool: ModuleType) -> None:
    assert tool.fitting_segment(wanted, shared_memory) == expected


def test_little_shared_memory_gets_a_copy_with_a_smaller_segment(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tool.choose_profile(tmp_path, 60 * MB)
    assert copy.parent == tmp_path
    assert f"<segment_size>{10 * MB}</segment_size>" in copy.read_text()
    assert "--shm-size" in capsys.readouterr().out


def test_enough_shared_memory_gets_the_profile_itself(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.choose_profile(tmp_path, 8000 * MB) == PROFILE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(90)
def test_camera_images_arrive(fresh_environment: dict[str, str]) -> None:
    """Best effort, 83 MB/s between two processes; with the built-in transports almost none arrives."""
    receiver = subprocess.Popen(
        [sys.executable, HERE / "image_receiver.py"], env=fresh_environment, stdout=subprocess.PIPE, text=True
    )
    try:
        subprocess.run([sys.executable, HERE / "image_sender.py"], env=fresh_environment, check=True, timeout=40)
        output, _ = receiver.communicate(timeout=45)
    finally:
        receiver.kill()
        receiver.wait()
    assert receiver.returncode == 0
    assert int(output) >= 72, f"{output.strip()} of 90 images arrived"

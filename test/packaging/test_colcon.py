"""The repository builds as an ament_python package, as in a ROS workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
SCRIPTS = Path(sys.executable).parent
COMMANDS = ("errseg", "errseg_node", "errseg_demo", "sample_bag")


def run(command: list[str], folder: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "COLCON_HOME": str(folder / "colcon_home"),
    }
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def repository_files(*patterns: str) -> list[Path]:
    """List the files that are, or would be, committed; their paths are relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a copy of the repository in src/, built."""
    workspace = tmp_path_factory.mktemp("workspace")
    for path in repository_files():
        copy = workspace / "src" / "errseg" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, copy)
    run(["colcon", "--log-base", "log", "build"], workspace)
    return workspace


@pytest.fixture(scope="module")
def prefix(workspace: Path) -> Path:
    return workspace / "install" / "errseg_ros"


def test_colcon_finds_one_ament_python_package(workspace: Path) -> None:
    listed = run(["colcon", "--log-base", "log", "list"], workspace).split()
    assert listed == ["errseg_ros", "src/errseg", "(ros.ament_python)"]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_stand_where_ros2_run_looks(command: str, prefix: Path) -> None:
    script = prefix / "lib" / "errseg_ros" / command
    assert os.access(script, os.X_OK)


def test_package_is_in_the_ament_index(prefix: Path) -> None:
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "errseg_ros").is_file()
    assert (prefix / "share" / "errseg_ros" / "package.xml").is_file()


@pytest.mark.parametrize(
    "pattern", ["launch/*.launch.py", "config/*.yaml", "config/*.xml", "config/vocabularies/*.yaml"]
)
def test_shared_files_are_installed(pattern: str, prefix: Path) -> None:
    files = repository_files(pattern)
    assert files, f"no {pattern} in the repository"
    for path in files:
        assert (prefix / "share" / "errseg_ros" / path).read_bytes() == (REPOSITORY / path).read_bytes()


def test_packages_are_installed_with_their_data(prefix: Path) -> None:
    """Modules, model configurations, weights and their card, recipes: all that the source folders hold."""
    installed = next((prefix / "lib").glob("python3*/site-packages"))
    missing = [str(path) for path in repository_files("errseg_model", "errseg_ros") if not (installed / path).is_file()]
    assert missing == []


def test_packages_import_from_the_workspace(prefix: Path, workspace: Path) -> None:
    installed = next((prefix / "lib").glob("python3*/site-packages"))
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import errseg_model, errseg_ros; print(errseg_model.__file__); print(errseg_ros.__file__)"
    )
    output = run([sys.executable, "-c", code], workspace)
    assert output.split() == [
        str(installed / "errseg_model" / "__init__.py"),
        str(installed / "errseg_ros" / "__init__.py"),
    ]

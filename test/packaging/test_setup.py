"""Set-up: what it asks for, that it runs once, and that it installs what is pinned."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parent.parent.parent
REQUIREMENTS = REPOSITORY / "requirements"
DIRECT = ("setup.txt", "vehicle.txt", "run.txt", "ros.txt", "weights.txt", "dev.txt")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
BASIC_TOOLS = ("awk", "bash", "dirname", "env", "uname", "cc", "c++", "touch", "find", "make")


def requirements(name: str) -> list[Requirement]:
    lines = (REQUIREMENTS / name).read_text().splitlines()
    kept = (line.split("#")[0].strip() for line in lines if not line.startswith("-r "))
    return [Requirement(line) for line in kept if line]


def pins(name: str, python: str) -> dict[str, str]:
    """Return the version of each package that the file asks for on a Python version."""
    found: dict[str, str] = {}
    for requirement in requirements(name):
        if requirement.marker is not None and not requirement.marker.evaluate({"python_version": python}):
            continue
        package = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert package not in found, f"{name} pins {package} twice on Python {python}"
        found[package] = str(requirement.specifier)
    return found


def outside_make() -> dict[str, str]:
    """Environment for a `make` that is not a part of the one that may run these tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}


def make(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=outside_make(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", [*DIRECT, "constraints.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    assert requirements(name)
    for requirement in requirements(name):
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(requirement.specifier)), str(requirement)


@pytest.mark.parametrize("name", DIRECT)
def test_every_direct_requirement_says_why_it_is_there(name: str) -> None:
    lines = (REQUIREMENTS / name).read_text().splitlines()
    without = [line for line in lines if "==" in line and "  # " not in line and not line.startswith("pip==")]
    assert without == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", ["vehicle.txt", "run.txt", "ros.txt", "dev.txt"])
def test_constraints_agree_with_direct_requirements(name: str, python: str) -> None:
    constraints = pins("constraints.txt", python)
    direct = pins(name, python)
    assert direct
    assert {package: constraints.get(package) for package in direct} == direct


@pytest.mark.parametrize("name", ["vehicle.txt", "run.txt", "ros.txt", "weights.txt", "dev.txt"])
def test_this_environment_is_the_pinned_one(name: str) -> None:
    wanted = pins(name, f"{sys.version_info.major}.{sys.version_info.minor}")
    assert {package: f"=={version(package)}" for package in wanted} == wanted


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up reads, which believes that set-up has been done."""
    for name in ("Makefile", "package.xml", "setup.py", "setup.cfg", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for name in ("requirements", "tools", "config"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    an_hour_ago = time.time() - 3600
    for path in tmp_path.rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))
    stamp = tmp_path / ".venv" / "errseg_setup_done"
    stamp.parent.mkdir()
    stamp.write_text(f"{tmp_path} {'.'.join(map(str, sys.version_info[:2]))}\n")
    os.utime(stamp, (an_hour_ago + 1800, an_hour_ago + 1800))
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    return tmp_path


def test_second_setup_does_nothing(checkout: Path) -> None:
    start = time.monotonic()
    result = make("setup", folder=checkout)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout
    assert len(result.stdout.splitlines()) == 1
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("target", ["demo", "test", "benchmark-accuracy"])
def test_targets_do_not_set_up_again(target: str, checkout: Path) -> None:
    assert "tools/setup.sh" not in make("--dry-run", target, folder=checkout).stdout


@pytest.mark.parametrize("target", ["setup", "demo", "test", "lint", "benchmark-accuracy"])
def test_every_target_sets_up_first(target: str, checkout: Path) -> None:
    (checkout / ".venv" / "errseg_setup_done").unlink()
    assert make("--dry-run", target, folder=checkout).stdout.startswith("tools/setup.sh\n")


def test_an_environment_that_does_not_start_is_set_up_again(checkout: Path) -> None:
    """As after an upgrade of the system, which takes the Python away that .venv was made with."""
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(checkout / "python3.9")
    assert make("--dry-run", "demo", folder=checkout).stdout.startswith("tools/setup.sh\n")


def test_an_environment_that_was_moved_or_copied_is_set_up_again(checkout: Path) -> None:
    """Its programs would start those of the place where it was made, or nothing."""
    moved = checkout.rename(checkout.with_name("moved"))
    assert make("--dry-run", "demo", folder=moved).stdout.startswith("tools/setup.sh\n")


def test_an_environment_of_another_python_is_set_up_again(checkout: Path) -> None:
    """As after an upgrade of the system from 3.11 to 3.12 behind the same name."""
    (checkout / ".venv" / "errseg_setup_done").write_text(f"{checkout} 3.9\n")
    assert make("--dry-run", "demo", folder=checkout).stdout.startswith("tools/setup.sh\n")


def test_a_python_that_is_asked_for_sets_up_again(checkout: Path) -> None:
    dry = make("--dry-run", "setup", "PYTHON=python3.12", folder=checkout)
    assert dry.stdout.startswith("tools/setup.sh\n")


@pytest.mark.parametrize(
    "changed",
    [
        "requirements/run.txt",
        "requirements/constraints.txt",
        "tools/setup.sh",
        "tools/vision_msgs/msg/LabelInfo.msg",
        "config/fastdds.xml",
        "setup.py",
        "package.xml",
    ],
)
def test_a_change_sets_up_again(changed: str, checkout: Path) -> None:
    (checkout / changed).touch()
    assert make("--dry-run", "setup", folder=checkout).stdout.startswith("tools/setup.sh\n")


def test_help_lists_every_target(checkout: Path) -> None:
    listed = re.findall(r"^make ([a-z-]+) ", make(folder=checkout).stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (checkout / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == phony.group(1).split()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], '.venv/bin/errseg_demo  --out "demo_out"'),
        (["SOURCE=my clip.mp4", "OUT=o"], '.venv/bin/errseg_demo --source "my clip.mp4" --out "o"'),
    ],
)
def test_demo_passes_its_arguments_on(arguments: list[str], expected: str, checkout: Path) -> None:
    assert make("--dry-run", "demo", *arguments, folder=checkout).stdout.splitlines() == [expected]


def run_setup(checkout: Path, path: Path, **variables: str) -> str:
    """Run set-up with only `path` to find programs in, expect it to fail, and return what it says."""
    result = subprocess.run(
        [shutil.which("bash") or "bash", checkout / "tools" / "setup.sh"],
        env={"PATH": str(path), "HOME": str(checkout), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    return result.stderr


def programs(folder: Path, *left_out: str, python: str | None = None) -> Path:
    """A folder with the programs that set-up may call, and as `python3` a script with this text."""
    folder.mkdir()
    for name in BASIC_TOOLS:
        found = shutil.which(name)
        if name not in left_out and found is not None:
            (folder / name).symlink_to(found)
    if python is not None:
        (folder / "python3").write_text(python)
        (folder / "python3").chmod(0o755)
    return folder


THIS_PYTHON = f'#!/bin/sh\nexec {sys.executable} "$@"\n'


@pytest.mark.parametrize(
    "python",
    [None, "#!/bin/sh\nexit 127\n", "#!/bin/sh\nexit 1\n"],
    ids=["none", "shim that starts nothing", "wrong version"],
)
def test_no_python_is_one_clear_message(python: str | None, checkout: Path, tmp_path: Path) -> None:
    message = run_setup(checkout, programs(tmp_path / "bin", python=python))
    assert "no Python 3.10 to 3.13 found" in message
    assert "apt-get install python3 python3-venv python3-dev build-essential" in message


def test_a_python_that_was_named_is_the_only_one_tried(checkout: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", python=THIS_PYTHON)
    assert "found as /nowhere/python3.12" in run_setup(checkout, path, PYTHON="/nowhere/python3.12")


@pytest.mark.parametrize("compiler", ["cc", "c++"])
def test_no_compiler_is_one_clear_message(compiler: str, checkout: Path, tmp_path: Path) -> None:
    message = run_setup(checkout, programs(tmp_path / "bin", compiler, python=THIS_PYTHON))
    assert message.endswith("sudo apt-get install build-essential\n")


@pytest.mark.parametrize(("broken", "package"), [("ensurepip", "venv"), ("sysconfig", "dev")], ids=["venv", "headers"])
def test_missing_parts_of_python_are_named(broken: str, package: str, checkout: Path, tmp_path: Path) -> None:
    """A Python that cannot do one thing: the script fails wherever that module is asked for."""
    script = f'#!/bin/sh\ncase "$2" in *{broken}*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    message = run_setup(checkout, programs(tmp_path / "bin", python=script))
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt-get install python{this}-{package}\n" in message

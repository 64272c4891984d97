"""OpenMP's threads are told to sleep, before PyTorch reads how they are to wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from errseg_model.openmp import wait_passively


@pytest.mark.parametrize(("theirs", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_sleep_unless_the_user_decides(
    theirs: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(theirs))
    wait_passively()
    assert os.environ == {"OMP_WAIT_POLICY": expected}


@pytest.mark.parametrize("program", ["errseg_model.__main__", "errseg_ros.evaluate_bag.main", "errseg_ros.node"])
def test_no_program_has_pytorch_before_it_decides(program: str) -> None:
    """libgomp reads the environment once, when PyTorch loads it."""
    code = f"import sys, {program}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("program", ["errseg_model.__main__", "errseg_ros.evaluate_bag.main"])
def test_commands_wait_as_the_node_does(program: str) -> None:
    """What `errseg benchmark` measures is then what the node gets."""
    code = f"""
import contextlib, io, os, {program} as program
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    program.main(["--help"])
print(os.environ["OMP_WAIT_POLICY"])
"""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert run.stdout == "PASSIVE\n"

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from errseg_ros import node_process
from errseg_ros.node_process import NodeError, NodeProcess

MODULE = "stand_in_for_the_node"


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the module that is started in place of the node."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda code: (tmp_path / f"{MODULE}.py").write_text(code) and None


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)


def test_parameters_and_log(tmp_path: Path, write_module: Callable[[str], None]) -> None:
    write_module("import sys; print(sys.argv[1:], sys.stdin.read())")
    log = tmp_path / "node.log"
    with NodeProcess({"file": "/a b/c.json"}, log, MODULE) as node:
        wait_for(lambda: not is_running(node.pid))
    assert log.read_text() == """['--ros-args', '-p', 'file:="/a b/c.json"'] \n"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('no weights'); raise SystemExit(3)", "ended with status 3.*no weights"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9.*nothing"),
        ("for i in range(100): print('line', i)\nraise SystemExit(1)", r"log\):\n    line 88\n.*line 99$"),
    ],
)
def test_error_shows_the_end_of_the_log(
    tmp_path: Path, write_module: Callable[[str], None], code: str, message: str
) -> None:
    write_module(code)
    with NodeProcess({}, tmp_path / "node.log", MODULE) as node:
        wait_for(lambda: not is_running(node.pid))
        with pytest.raises(NodeError, match=f"(?s){message}"):
            node.check()


def test_running_node_passes_the_check_and_ends_with_the_block(
    tmp_path: Path, write_module: Callable[[str], None]
) -> None:
    write_module("import time; time.sleep(60)")
    with NodeProcess({}, tmp_path / "node.log", MODULE) as node:
        node.check()
        assert is_running(node.pid)
    assert not is_running(node.pid)


def test_node_that_does_not_listen_is_killed(
    tmp_path: Path, write_module: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_process, "_TERMINATE_SECONDS", 0.2)
    write_module(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    log = tmp_path / "node.log"
    with NodeProcess({}, log, MODULE) as node:
        wait_for(lambda: "deaf" in log.read_text())
    assert not is_running(node.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_node_ends_when_its_parent_is_killed(tmp_path: Path, write_module: Callable[[str], None]) -> None:
    write_module("import time; time.sleep(60)")
    code = (
        "import pathlib, sys, time\n"
        "from errseg_ros.node_process import NodeProcess\n"
        f"with NodeProcess({{}}, pathlib.Path({str(tmp_path / 'node.log')!r}), {MODULE!r}) as node:\n"
        "    print(node.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        node = int(parent.stdout.readline())
        assert is_running(node)
        os.kill(parent.pid, signal.SIGKILL)
    wait_for(lambda: not is_running(node))

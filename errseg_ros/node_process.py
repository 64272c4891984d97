"""`errseg_node` as a process of its own: start, look after, end."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

_TERMINATE_SECONDS = 10.0
_SHOWN_LINES = 12
_PR_SET_PDEATHSIG = 1  # prctl(2)


class NodeError(RuntimeError):
    """The node ended by itself, or does not answer. The message shows the end of its log."""


class NodeProcess:
    """A running `errseg_node`, or another module that is a node; leaving the `with` block ends it in any case.

    Start it before the first ROS participant of this process: a fork is safest with few threads.
    """

    def __init__(self, parameters: Mapping[str, Any], log: Path, module: str = "errseg_ros.node") -> None:
        """Start the node with parameters; its output goes to the file `log`."""
        self.log = log
        command = [sys.executable, "-m", module, "--ros-args"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise NodeError when the node has ended."""
        status = self._process.poll()
        if status is not None:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise self.error(f"errseg_node {how}")

    def error(self, what: str) -> NodeError:
        """A NodeError that says `what` and shows the end of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        shown = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return NodeError(f"{what}; the last lines of its log ({self.log}):\n{shown}")

    def stop(self) -> None:
        """End the node: SIGTERM, and SIGKILL where that does not help within 10 s."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                self._process.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # a second Ctrl-C while waiting comes here too
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()


# Looked up before any fork: the child must not import.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """In the child: SIGTERM comes when the parent dies, be it by SIGKILL."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

"""What a node under faults costs and says: resident memory and log lines."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# As rclpy prints: [ERROR] [seconds] [logger]: text
_TROUBLE = re.compile(r"^\[(?:WARN|ERROR|FATAL)\] \[[\d.]+\] \[[^]]*\]: (.*)$")


@dataclass
class Watch:
    """A running node from now on, or since `reset`."""

    node: Any
    _seen: int = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what the node has printed until now."""
        self._seen = len(self.node.log())

    @property
    def lines(self) -> list[str]:
        """All that it has printed since."""
        return self.node.log()[self._seen :].splitlines()

    @property
    def trouble(self) -> list[str]:
        """The texts of its warnings and errors since; what is no log line at all (a traceback) is one as it is."""
        return [
            found.group(1) if found else line
            for line in self.lines
            if (found := _TROUBLE.match(line)) or not line.startswith(("[INFO]", "[DEBUG]"))
        ]

    @property
    def memory(self) -> int:
        """Bytes that are resident and the process's own: pages of the middleware's shared memory are many's."""
        return self._status("RssAnon")

    @property
    def peak(self) -> int:
        """The most bytes that were resident since `reset_peak`."""
        return self._status("VmHWM")

    def reset_peak(self) -> int:
        """Let `peak` start anew; returns it."""
        Path(f"/proc/{self.node.process.pid}/clear_refs").write_text("5")
        return self.peak

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.node.process.pid}/status").read_text()
        return 1024 * int(re.findall(rf"{name}:\s*(\d+) kB", status)[0])

    def assert_one_line(self, *words: str) -> None:
        """All that went wrong is one kind of fault, told once with these words and then once in a period at most."""
        first = [line for line in self.trouble if "more since the last such message" not in line]
        assert len(first) == 1 and all(word in first[0] for word in words), (words, self.trouble)

    def assert_alive(self) -> None:
        """The process runs."""
        assert self.node.process.poll() is None, f"the node ended:\n{self.node.log()}"


@pytest.fixture(scope="session")
def watch() -> Callable[[Any], Watch]:
    """Makes a `Watch` of a node process."""
    return Watch


@pytest.fixture(scope="module")
def beside(ros_module_environment: dict[str, str]) -> Callable[..., Any]:
    """Context manager that runs a script of this folder beside the module's node, and ends it."""

    @contextmanager
    def run(script: str, *arguments: Any) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, str(Path(__file__).parent / script), *map(str, arguments)]
        process = subprocess.Popen(command, env=ros_module_environment, stdout=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.terminate()  # a process that is killed leaves its 64 MB in /dev/shm
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    return run

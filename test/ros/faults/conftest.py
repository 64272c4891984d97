"""What a node under faults costs and says: resident memory and log lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
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
        """Bytes that the process has resident."""
        return int(psutil.Process(self.node.process.pid).memory_info().rss)

    def assert_alive(self) -> None:
        """The process runs."""
        assert self.node.process.poll() is None, f"the node ended:\n{self.node.log()}"


@pytest.fixture(scope="session")
def watch() -> Callable[[Any], Watch]:
    """Makes a `Watch` of a node process."""
    return Watch

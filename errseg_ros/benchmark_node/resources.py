"""What a process has, as Linux tells in /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path

from errseg_ros.benchmark_node.judging import Sample


def sample(pid: int, seconds: float) -> Sample:
    """Now. Raises OSError when the process has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return Sample(
        seconds=seconds,
        resident_mb=_number("VmRSS", status) / 1024,
        private_mb=_number("RssAnon", status) / 1024,
        threads=_number("Threads", status),
        files=len(os.listdir(f"/proc/{pid}/fd")),
    )


def _number(name: str, status: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected {name} in /proc/PID/status")
    return int(found[1])

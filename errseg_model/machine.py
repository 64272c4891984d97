"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch


def machine_facts(device: torch.device | None = None) -> dict[str, str | int]:
    """Processor, cores this process may use, GPU, and versions of what decides about times.

    The GPU is `device` where that is one, and else the one that is taken by default.
    """
    gpu = device if device is not None and device.type == "cuda" else None
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "gpu": torch.cuda.get_device_name(gpu) if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()

"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from rclpy.utilities import get_rmw_implementation_identifier


def machine_facts() -> dict[str, str | int]:
    """Processor, cores this process may use, and versions of what decides about times."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ros": os.environ.get("ROS_DISTRO", "wheels"),
        "rclpy": _version("rclpy"),
        "rmw": get_rmw_implementation_identifier(),
        "fast dds": _version("ros-fastdds"),
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # of the ROS distribution
        return "of the distribution"

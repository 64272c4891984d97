"""What the figures were measured on."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from rclpy.utilities import get_rmw_implementation_identifier

from errseg_model import machine


def machine_facts() -> dict[str, str | int]:
    """Those of the model, and versions of the middleware."""
    return {
        **machine.machine_facts(),
        "ros": os.environ.get("ROS_DISTRO", "wheels"),
        "rclpy": _version("rclpy"),
        "rmw": get_rmw_implementation_identifier(),
        "fast dds": _version("ros-fastdds"),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # of the ROS distribution
        return "of the distribution"

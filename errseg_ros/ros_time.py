"""ROS time as a number of nanoseconds. Imports no ROS."""

from __future__ import annotations

from typing import Any

SECOND = 1_000_000_000
"""In nanoseconds."""


def stamp_ns(header: Any) -> int:
    """Stamp of a std_msgs/Header in nanoseconds, be it from rclpy or read from a bag by rosbags."""
    return int(header.stamp.sec) * SECOND + int(header.stamp.nanosec)

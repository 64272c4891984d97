"""Somebody who reads masks, reliably: `python mask_listener.py TOPIC`. Prints a line for the first one."""

from __future__ import annotations

import contextlib
import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from sensor_msgs.msg import Image


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("listener")
    told = False

    def receive(message: Image) -> None:
        nonlocal told
        if not told:
            print("a mask", flush=True)
        told = True

    node.create_subscription(Image, sys.argv[1], receive, 1)
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)
    node.destroy_node()


if __name__ == "__main__":
    main()

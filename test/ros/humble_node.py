"""errseg_node with what ROS 2 Humble's rclpy lacks taken away: run in place of errseg_ros.node.

Humble has no callbacks before and after parameters are set, and its event handlers are in another module.
"""

from __future__ import annotations

import sys
from types import ModuleType

import rclpy.event_handler
import rclpy.executors  # rclpy itself imports before the module is gone
import rclpy.lifecycle
import rclpy.node

LATER_METHODS = (
    "add_pre_set_parameters_callback", "add_post_set_parameters_callback",
    "remove_pre_set_parameters_callback", "remove_post_set_parameters_callback",
)  # fmt: skip

for name in LATER_METHODS:
    delattr(rclpy.node.Node, name)
humble = ModuleType("rclpy.qos_event")
for name in ("PublisherEventCallbacks", "SubscriptionEventCallbacks"):
    setattr(humble, name, getattr(rclpy.event_handler, name))
sys.modules["rclpy.qos_event"] = humble
sys.modules["rclpy.event_handler"] = None  # type: ignore[assignment]  # makes its import fail

if __name__ == "__main__":
    from errseg_ros.node import main

    main()

"""errseg_node with what ROS 2 Humble's rclpy lacks taken away: run in place of errseg_ros.node.

Humble has no callbacks before and after parameters are set, its event handlers are in another module, and it raises
what the state machine says of a transition that is not possible.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

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


change_state = rclpy.lifecycle.LifecycleNodeMixin._LifecycleNodeMixin__change_state  # type: ignore[attr-defined]


def raising_change_state(self: Any, transition_id: int) -> Any:
    """Humble does not catch what rcl says of a transition that is not possible."""
    if transition_id not in {possible for possible, *_ in self._state_machine.available_transitions}:
        self._state_machine.trigger_transition_by_id(transition_id, True)
    return change_state(self, transition_id)


rclpy.lifecycle.LifecycleNodeMixin._LifecycleNodeMixin__change_state = raising_change_state  # type: ignore[attr-defined]

if __name__ == "__main__":
    from errseg_ros.node import main

    main()

"""When a message was sent and received, on every rclpy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.subscription import Subscription

Take = Callable[[Any, Any], None]
"""A message and its info: `source_timestamp` and `received_timestamp`, in nanoseconds of the system's clock."""


def with_info(take: Take) -> Callable[..., None]:
    """`take` as a subscription's callback. Humble's rclpy tells no times: there both are that of the call."""
    if hasattr(Subscription, "CallbackType"):
        return take

    def receive(message: Any) -> None:
        now = time.time_ns()
        take(message, {"source_timestamp": now, "received_timestamp": now})

    return receive

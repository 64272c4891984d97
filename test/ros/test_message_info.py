from __future__ import annotations

import inspect
import time
from typing import Any

import pytest
from rclpy.subscription import Subscription

from errseg_ros.message_info import with_info


def test_rclpy_tells_the_times_itself() -> None:
    def take(message: Any, info: Any) -> None: ...

    assert with_info(take) is take


def test_on_humble_both_times_are_that_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rclpy has no CallbackType, and calls with the message alone."""
    monkeypatch.delattr(Subscription, "CallbackType")
    taken: list[tuple[str, dict[str, int]]] = []
    callback = with_info(lambda message, info: taken.append((message, info)))
    assert len(inspect.signature(callback).parameters) == 1
    before = time.time_ns()
    callback("image")
    ((message, info),) = taken
    assert message == "image"
    assert before <= info["source_timestamp"] == info["received_timestamp"] <= time.time_ns()

"""The client that demo and benchmark talk to their node with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import pytest
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.task import Future
from vision_msgs.msg import LabelInfo

from errseg_ros.client import Client, Request
from errseg_ros.node_process import NodeProcess


def replied(result: SetParametersResult | Exception) -> Request:
    """A request that has this reply."""
    future = Future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(SetParametersAtomically.Response(result=result))
    request = Request(asked_ns=time.time_ns())
    request.take_reply(future)
    return request


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (SetParametersResult(successful=True), ""),
        (SetParametersResult(successful=False, reason="entry 2 is empty"), "entry 2 is empty"),
        (SetParametersResult(successful=False), "no reason given"),
        (RuntimeError("the service is gone"), "the service is gone"),
    ],
)
def test_a_reply_tells_why_a_change_is_refused(result: SetParametersResult | Exception, problem: str) -> None:
    request = replied(result)
    assert request.problem == problem
    assert request.replied_ns is not None and 0 <= request.reply_ms < 10_000


def test_a_request_without_a_reply_has_no_time() -> None:
    with pytest.raises(ValueError, match="no reply yet"):
        _ = Request(asked_ns=0).reply_ms


class Watch:
    """Stands for a node's process that runs."""

    def check(self) -> None:
        pass


def test_a_node_whose_first_reply_is_lost_is_asked_again_before_it_counts_as_ready(
    ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment["ROS_DOMAIN_ID"])
    monkeypatch.setattr("errseg_ros.client._ASK_AGAIN_SECONDS", 0.2)
    with Client(cast(NodeProcess, Watch())) as client:
        asked: list[Request] = []

        def change(parameters: Mapping[str, Any]) -> Request:
            assert parameters == {}
            lost = Request(asked_ns=time.time_ns())
            asked.append(replied(SetParametersResult(successful=True)) if asked else lost)
            return asked[-1]

        monkeypatch.setattr(client, "change", change)
        monkeypatch.setattr(client._parameters, "service_is_ready", lambda: True)
        client._saw_labels(LabelInfo(), 0)
        client.wait_until_ready()
    assert [request.replied_ns is None for request in asked] == [True, False]
    assert asked[1].asked_ns - asked[0].asked_ns >= 0.2e9

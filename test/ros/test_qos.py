from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from errseg_model.errors import InputError
from errseg_ros import qos


@pytest.mark.parametrize(
    ("profile", "reliability", "durability"),
    [
        (qos.image_input(), ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE),
        (qos.output(), ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
        (qos.latched(), ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
    ],
    ids=["input", "output", "latched"],
)
def test_profiles_are_those_of_the_interface(
    profile: QoSProfile, reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> None:
    assert (profile.history, profile.depth) == (HistoryPolicy.KEEP_LAST, 1)
    assert (profile.reliability, profile.durability) == (reliability, durability)


def test_the_override_of_one_topic_does_not_reach_another() -> None:
    qos.output().depth = 9
    assert qos.output().depth == 1


@pytest.fixture
def node(
    ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Node]:
    """With the override that the test has as its parameter."""
    for name in ("ROS_LOG_DIR", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, ros_environment[name])
    context = Context()
    override = f"qos_overrides./x.publisher.{request.param}"
    rclpy.init(args=["--ros-args", "-p", override], context=context, domain_id=int(ros_environment["ROS_DOMAIN_ID"]))
    yield Node("errseg", context=context)
    rclpy.shutdown(context=context)


def create(node: Node) -> Publisher[String]:
    with qos.overrides_of("/x"):
        return node.create_publisher(String, "/x", qos.output(), qos_overriding_options=qos.overridable())


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("depth:=-1", "depth is -1"),
        ("depth:=4000000000000", "depth is 4000000000000"),
        ("history:=unknown", "HistoryPolicy.UNKNOWN"),
        ("reliability:=unknown", "ReliabilityPolicy.UNKNOWN"),
        ("reliability:=besteffort", "besteffort"),
    ],
    indirect=["node"],
)
def test_an_override_that_is_none_is_refused_by_name(node: Node, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        create(node)
    assert str(caught.value).startswith("qos_overrides of /x: ") and reason in str(caught.value)
    assert "history is keep_last or keep_all, reliability reliable or best_effort" in str(caught.value)


@pytest.mark.parametrize("node", ["depth:=7", "depth:=0", "history:=keep_all"], indirect=True)
def test_an_override_is_taken(node: Node) -> None:
    assert create(node).topic_name == "/x"

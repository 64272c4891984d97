from __future__ import annotations

import pytest
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

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

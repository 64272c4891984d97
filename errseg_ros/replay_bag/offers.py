"""The quality of service that a recorded topic is played with."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

DEPTH = 10
_FOR_EVER_SECONDS = 2**31 - 1  # distributions write "no limit" in different ways, all of them longer

_LIVELINESS = {
    QosLiveliness.AUTOMATIC: LivelinessPolicy.AUTOMATIC,
    QosLiveliness.MANUAL_BY_TOPIC: LivelinessPolicy.MANUAL_BY_TOPIC,
}


def offer(recorded: Sequence[Qos]) -> QoSProfile:
    """What one publisher offers in place of all that were recorded on a topic.

    Where several differ it offers the most that one of them did, so that whoever got messages in the drive gets
    them again. Without any recorded (bags of other tools) it is reliable, volatile, the last 10.
    """
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        # One publisher stands for all: each has its last messages in it.
        depth=sum(_depth(qos) for qos in recorded) or DEPTH,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )
    if any(qos.history == QosHistory.KEEP_ALL for qos in recorded):
        profile.history = HistoryPolicy.KEEP_ALL
    if recorded and all(qos.reliability == QosReliability.BEST_EFFORT for qos in recorded):
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
    if any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in recorded):
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    first = recorded[0] if recorded else None
    if first is not None and all(_promises(qos) == _promises(first) for qos in recorded):
        _promise(profile, first)
    return profile


def _depth(qos: Qos) -> int:
    """Recorders of some distributions cannot see the history of a publisher and write 0."""
    return qos.depth if qos.history == QosHistory.KEEP_LAST and qos.depth > 0 else DEPTH


def _promises(qos: Qos) -> tuple[QosTime, QosTime, QosLiveliness, QosTime]:
    return qos.deadline, qos.lifespan, qos.liveliness, qos.liveliness_lease_duration


def _promise(profile: QoSProfile, qos: Qos) -> None:
    """Times stay those of the drive at every rate: a subscriber asks for them by the same numbers."""
    for name in ("deadline", "lifespan", "liveliness_lease_duration"):
        seconds, nanoseconds = getattr(qos, name)
        if seconds < _FOR_EVER_SECONDS:
            setattr(profile, name, Duration(seconds=seconds, nanoseconds=nanoseconds))
    if qos.liveliness in _LIVELINESS:
        profile.liveliness = _LIVELINESS[qos.liveliness]

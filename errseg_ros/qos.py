"""Quality of service of every topic, by the role that it has (public interface, column QoS).

Each profile is made anew on every call: rclpy writes `qos_overrides` parameters into the object that it is
given, so a shared one would carry the override of one topic to all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rcl_interfaces.msg import SetParametersResult
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from errseg_model.errors import InputError

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

_MOST_DEPTH = 2**31 - 1
"""Of DDS."""


def image_input() -> QoSProfile:
    """Camera images: best effort, as a late image is of no use, only the newest (REP 2003, sensor data)."""
    return _profile(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


def output() -> QoSProfile:
    """What is computed from an image: reliable, only the newest."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def latched() -> QoSProfile:
    """What holds until it changes: reliable, and the last one is given to whoever subscribes later."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def diagnostics() -> QoSProfile:
    """As every node on /diagnostics has it: reliable, the last ten."""
    return QoSProfile(depth=10)


def overridable() -> QoSOverridingOptions:
    """Declares `qos_overrides.TOPIC.{publisher,subscription}.{history,depth,reliability}`.

    Only for what exists from the node's start: the parameters stay when a publisher goes.
    """
    return QoSOverridingOptions.with_default_policies(callback=_check)


@contextmanager
def overrides_of(topic: str) -> Iterator[None]:
    """Around the creation of what is `overridable`. Raises InputError for an override that is none."""
    try:
        yield
    except (RuntimeError, InvalidQosOverridesError) as error:
        if type(error) not in (RuntimeError, InvalidQosOverridesError):  # rcl's own are derived from the former
            raise
        raise InputError(
            f"qos_overrides of {topic}: {error}; history is keep_last or keep_all, reliability reliable or "
            f"best_effort, depth 0 to {_MOST_DEPTH}"
        ) from None


def no_events() -> PublisherEventCallbacks:
    """For publishers that come and go while the node spins.

    An executor that builds its wait set fails on an event handler that another thread destroys meanwhile, and
    each handler is one more thing to wait for. Incompatible QoS is still logged by whoever subscribes.
    """
    return PublisherEventCallbacks(use_default_callbacks=False)


def no_subscription_events() -> SubscriptionEventCallbacks:
    """The same for subscriptions."""
    return SubscriptionEventCallbacks(use_default_callbacks=False)


def _check(profile: QoSProfile) -> SetParametersResult:
    """What rclpy takes and the middleware does not."""
    if not 0 <= profile.depth <= _MOST_DEPTH:
        return SetParametersResult(successful=False, reason=f"depth is {profile.depth}")
    for policy in (profile.history, profile.reliability):
        if policy.name == "UNKNOWN":
            return SetParametersResult(successful=False, reason=f"{policy!r} is none")
    return SetParametersResult(successful=True)


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability, durability=durability)

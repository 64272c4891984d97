"""Which topics of the bags are played, under which names and types, and their publishers."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.validate_full_topic_name import validate_full_topic_name

from errseg_model.errors import InputError
from errseg_ros.bags import BagTopic
from errseg_ros.replay_bag.offers import offer

CLOCK = "/clock"
_ACKNOWLEDGED_SECONDS = 2.0


@dataclass(frozen=True)
class PlayedTopic:
    """A topic of the bags that is published."""

    recorded: str
    """Its name in the bags."""
    name: str
    """The name that it is published under."""
    message_type: Any
    """The class of its messages."""
    profile: QoSProfile
    count: int
    """Of its messages in all bags."""


def choose_topics(
    bags: Sequence[Mapping[str, BagTopic]],
    wanted: Sequence[str],
    remap: Mapping[str, str],
    own_clock: bool,
    warn: Callable[[str], None],
) -> list[PlayedTopic]:
    """The topics to play.

    Args:
        bags: the topics of each bag.
        wanted: names in the bags; none for all.
        remap: new names by names in the bags.
        own_clock: /clock is published by us, so that of the bags is left out.
        warn: takes a line about a topic that is left out.

    Raises InputError: a topic that no bag has, a name that is none, nothing left to play.
    """
    found = _merge(bags)
    for name, option in [*((name, "--topics") for name in wanted), *((name, "--remap") for name in remap)]:
        if name not in found:
            raise InputError(f"{option}: no topic {name!r} in the bag; it has {', '.join(found) or 'none'}")
    played = []
    for name in wanted or sorted(found):
        topic = found[name]
        published = remap.get(name, name)
        _check_name(published)
        if own_clock and published == CLOCK:
            warn(f"{name} is left out: --clock publishes {CLOCK}")
            continue
        try:
            message_type = message_class(topic.type)
        except InputError as error:
            warn(f"{name} is left out: {error}")
            continue
        played.append(PlayedTopic(name, published, message_type, offer(topic.qos), topic.count))
    if not any(topic.count for topic in played):
        raise InputError("the bag has no messages that can be played")
    return played


def message_class(name: str) -> Any:
    """The class of a message type such as "sensor_msgs/msg/Image". Raises InputError when it is not installed."""
    package, _, rest = name.partition("/")
    folder, _, short = rest.rpartition("/")
    try:
        module = importlib.import_module(f"{package}.{folder or 'msg'}")
        return getattr(module, short)
    except (ImportError, AttributeError, ValueError, TypeError):
        raise InputError(f"message type {name} is not installed here") from None


class Publishers:
    """The publishers of the topics."""

    def __init__(self, node: Node, topics: Sequence[PlayedTopic]) -> None:
        """Raises InputError for a topic that the middleware refuses."""
        self._publishers: list[Publisher[Any]] = []
        self._to_be_heard: list[Publisher[Any]] = []
        self.send: dict[str, Callable[[Any], None]] = {}
        """Publishes a serialised message, by the topic's recorded name."""
        for topic in topics:
            try:
                publisher = node.create_publisher(topic.message_type, topic.name, topic.profile)
            except (InvalidTopicNameException, RuntimeError) as error:  # RCLError: two types on one topic, and others
                raise InputError(f"topic {topic.name} cannot be published: {' '.join(str(error).split())}") from None
            self._publishers.append(publisher)
            if topic.count:
                self._to_be_heard.append(publisher)
            self.send[topic.recorded] = publisher.publish

    def unheard(self) -> list[str]:
        """Topics with messages that nobody listens to."""
        return [publisher.topic_name for publisher in self._to_be_heard if not publisher.get_subscription_count()]

    def finish(self) -> None:
        """Wait until reliable subscribers have what was sent, for 2 s at most."""
        end = time.monotonic() + _ACKNOWLEDGED_SECONDS
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=max(end - time.monotonic(), 0.0)))


def _merge(bags: Sequence[Mapping[str, BagTopic]]) -> dict[str, BagTopic]:
    """The topics of all bags, by name. Raises InputError for one that has two types."""
    found: dict[str, BagTopic] = {}
    for topic in (topic for bag in bags for topic in bag.values()):
        known = found.setdefault(topic.name, replace(topic, count=0, qos=()))
        if known.type != topic.type:
            raise InputError(f"topic {topic.name} is {known.type} in one bag and {topic.type} in another")
        found[topic.name] = replace(known, count=known.count + topic.count, qos=(*known.qos, *topic.qos))
    return found


def _check_name(name: str) -> None:
    try:
        validate_full_topic_name(name)
    except InvalidTopicNameException as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name!r} is no full topic name such as /camera/image: {reason}") from None

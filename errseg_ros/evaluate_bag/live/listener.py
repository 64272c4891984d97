"""Listens to a running `errseg_node` and to the images that are published to it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification, LabelInfo

from errseg_model.errors import InputError
from errseg_model.vocabulary import Vocabulary
from errseg_ros import qos
from errseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE
from errseg_ros.evaluate_bag.live.assembly import Assembly, LiveAnswer
from errseg_ros.evaluate_bag.stamps import header_stamp
from errseg_ros.message_info import with_info

_IMAGE_TYPES = {IMAGE: Image, COMPRESSED_IMAGE: CompressedImage}
# With what a node is started that is to take these from a topic.
_LISTENING = {
    IMAGE: "-r camera/image:={}",
    COMPRESSED_IMAGE: "-p image_transport:=compressed -r camera/image/compressed:={}",
}
_ANSWERS = 64  # that may wait to be looked at
_IMAGES = 30  # that may wait to be counted
_STEP_SECONDS = 0.2
_ASK_AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class NodeFacts:
    """What the node says of itself."""

    model: str
    device: str
    input_size: tuple[int, int]
    max_classes: int


class Listener:
    """A ROS node with a thread that takes what comes. Use it in a `with` block."""

    def __init__(self, node: str, camera: str, image_topic: str, image_type: str) -> None:
        """Subscribe.

        Args:
            node: full name of the node that is evaluated, such as /errseg.
            camera: its name in the node's parameter `cameras`.
            image_topic: where the images are published.
            image_type: sensor_msgs/msg/Image or CompressedImage.

        Raises InputError for names that ROS does not allow.
        """
        self._watched, self._image_topic, self._image_type = node, image_topic, image_type
        self._answers: queue.Queue[LiveAnswer] = queue.Queue(_ANSWERS)
        self.unseen = 0
        """Answers that came faster than they could be looked at, and were dropped here."""
        self.assembly = Assembly(self._keep)
        self.last_event = time.monotonic()
        """When an image or a mask came last."""
        self.facts: NodeFacts | None = None
        """None until the node has told."""
        self._device: str | None = None
        self._vocabularies: dict[tuple[str, ...], Vocabulary] = {}
        self._labelled = False
        self._asked: Any = None
        self._asked_at = 0.0
        self._error: BaseException | None = None
        self._context = Context()
        # Signals stay with whoever waits for answers.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        try:
            self._node = rclpy.create_node("evaluate_bag", context=self._context, start_parameter_services=False)
            self._subscribe(node, camera, _IMAGE_TYPES[image_type])
            self._parameters: Any = self._node.create_client(GetParameters, f"{node}/get_parameters")
        except (InvalidTopicNameException, ValueError) as error:
            rclpy.try_shutdown(context=self._context)
            raise InputError(f"node {node!r}, camera {camera!r}: {' '.join(str(error).split())}") from None
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="listener", daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def stop(self) -> None:
        """Take nothing more; what was taken can still be asked for."""
        self._executor.shutdown()
        self._thread.join()

    def wait_for_node(self, seconds: float, stopped: Callable[[], bool]) -> bool:
        """Wait until the node listens to the images and has told its labels and parameters.

        Returns False when `stopped` before. Raises InputError with what is missing after so many seconds.
        """
        end = time.monotonic() + seconds
        while (missing := self._missing()) is not None:
            self._check()
            if stopped():
                return False
            if time.monotonic() > end:
                raise InputError(f"{missing} (waited {seconds:g} s)")
            time.sleep(_STEP_SECONDS)
        self.last_event = time.monotonic()
        return True

    def next(self) -> LiveAnswer | None:
        """The next answer; None when there is none for a moment."""
        self._check()
        try:
            return self._answers.get(timeout=_STEP_SECONDS)
        except queue.Empty:
            return None

    def vocabulary(self, names: tuple[str, ...], seconds: float = 2.0) -> Vocabulary:
        """The vocabulary of these names, with its synonyms if the node tells them in so many seconds."""
        end = time.monotonic() + seconds
        while names not in self._vocabularies and time.monotonic() < end:
            time.sleep(0.01)
        return self._vocabularies.get(names) or Vocabulary.parse(names)

    def _subscribe(self, node: str, camera: str, image_type: Any) -> None:
        several = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        images = QoSProfile(depth=_IMAGES, reliability=ReliabilityPolicy.BEST_EFFORT)
        # Serialised: only the stamps are of interest, and images are many and large.
        self._node.create_subscription(image_type, self._image_topic, with_info(self._take_image), images, raw=True)
        self._node.create_subscription(Image, f"{node}/{camera}/mask", with_info(self._take_mask), several)
        self._node.create_subscription(Image, f"{node}/{camera}/confidence", self.assembly.add_confidence, several)
        self._node.create_subscription(
            Classification, f"{node}/{camera}/class_scores", self.assembly.add_scores, several
        )
        self._node.create_subscription(LabelInfo, f"{node}/label_info", self._take_labels, latched)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, qos.diagnostics())

    def _take_image(self, data: bytes, info: Any) -> None:
        self.last_event = time.monotonic()
        self.assembly.add_image(header_stamp(data), info["source_timestamp"], _received_ns(info))

    def _take_mask(self, message: Image, info: Any) -> None:
        self.last_event = time.monotonic()
        self.assembly.add_mask(message, _received_ns(info))

    def _take_labels(self, message: LabelInfo) -> None:
        self._labelled = True
        self._ask()
        self.assembly.add_labels(message)

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._watched.lstrip("/") and status.hardware_id:
                self._device = status.hardware_id
                if self.facts is not None:
                    self.facts = replace(self.facts, device=self._device)

    def _keep(self, answer: LiveAnswer) -> None:
        try:
            self._answers.put_nowait(answer)
        except queue.Full:
            self.unseen += 1

    def _ask(self) -> None:
        """For the parameters: with every label_info, as only they tell synonyms."""
        names = ["vocabulary", "model", "device", "input_size", "max_classes"]
        self._asked_at = time.monotonic()
        self._asked = self._parameters.call_async(GetParameters.Request(names=names))
        self._asked.add_done_callback(self._take_parameters)

    def _take_parameters(self, future: Any) -> None:
        values = future.result().values
        if len(values) != 5:
            return
        vocabulary = Vocabulary.parse(values[0].string_array_value)
        self._vocabularies[vocabulary.names] = vocabulary
        height, width = values[3].integer_array_value
        self.facts = NodeFacts(
            model=values[1].string_value,
            device=self._device or values[2].string_value,
            input_size=(height, width),
            max_classes=values[4].integer_value,
        )

    def _missing(self) -> str | None:
        """What the node lacks to be evaluated, and what to do; None when nothing does."""
        topic, node = self._image_topic, self._watched
        listening = _LISTENING[self._image_type].format(topic)
        if self._node.count_publishers(f"{node}/label_info") == 0 or not self._labelled:
            return (
                f"no active errseg_node named {node} is running: start it with `errseg_node --ros-args {listening}`, "
                "in the same ROS_DOMAIN_ID, or name another with --node"
            )
        if (several := self._node.count_publishers(f"{node}/label_info")) > 1:
            return f"{several} nodes are named {node}, so that answers cannot be told apart: end all but one"
        endpoints = self._node.get_subscriptions_info_by_topic(topic)
        types = sorted({endpoint.topic_type for endpoint in endpoints if _full_name(endpoint) == node})
        if not types:
            others = ", ".join(self._heard_by_node()) or "no images (is it active?)"
            return (
                f"node {node} does not listen to {topic}, but to {others}: start it with `{listening}`, or name the "
                "topic that the bag is played on with --live-topic"
            )
        if self._image_type not in types:
            return (
                f"node {node} listens to {topic} for {', '.join(types)}, and the bag's images are {self._image_type}: "
                f"start it with `{listening}`"
            )
        if self.facts is None:
            # DDS drops a reply where the node has not yet discovered who asked, and a service cannot tell.
            waits = self._asked is not None and not self._asked.done()
            if not waits or time.monotonic() - self._asked_at > _ASK_AGAIN_SECONDS:
                self._ask()
            return f"node {node} does not tell its parameters"
        return None

    def _heard_by_node(self) -> list[str]:
        namespace, _, name = self._watched.rpartition("/")
        try:
            topics = self._node.get_subscriber_names_and_types_by_node(name, namespace or "/")
        except Exception:  # rclpy's error for a node that has just gone is not public
            return []
        return [topic for topic, types in topics if set(types) & _IMAGE_TYPES.keys()]

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except BaseException as error:  # raised where answers are waited for
            self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error


def _received_ns(info: Any) -> int:
    """By the clock of this machine; now, where the middleware (Cyclone DDS) does not tell."""
    return int(info["received_timestamp"]) or time.time_ns()


def _full_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"

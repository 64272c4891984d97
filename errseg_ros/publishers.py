"""Everything that the node publishes (public interface, table of topics)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, LabelInfo, ObjectHypothesis, VisionClass, VisionInfo

from errseg_model import SegmentationResult
from errseg_model.visualization import overlay
from errseg_ros import qos
from errseg_ros.image_messages import image_message, jpeg_message, mask_message, score_message
from errseg_ros.vocabulary_server import Labels


class LabelPublishers:
    """`~/label_info` and `~/vocabulary_info`: what the ids of all cameras' masks mean."""

    def __init__(self, node: Node, method: str) -> None:
        """`method` is the model's name."""
        self._node = node
        self._clock = node.get_clock()
        self._method = method
        self._version = 0
        self._label_info = _create(node, LabelInfo, "~/label_info", qos.latched())
        self._vocabulary_info = _create(node, VisionInfo, "~/vocabulary_info", qos.latched())

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in (self._label_info, self._vocabulary_info):
            self._node.destroy_publisher(publisher)

    def publish(self, labels: Labels) -> None:
        """Tell what masks mean from now on."""
        header = Header(stamp=self._clock.now().to_msg())
        self._label_info.publish(
            LabelInfo(
                header=header,
                class_map=[
                    VisionClass(class_id=number, class_name=name)
                    for number, name in zip(labels.ids, labels.vocabulary.names, strict=True)
                ],
                threshold=labels.threshold,
            )
        )
        if labels.version != self._version:
            self._vocabulary_info.publish(
                VisionInfo(
                    header=header,
                    method=self._method,
                    database_location=labels.source,
                    database_version=labels.version,
                )
            )
            self._version = labels.version


class CameraPublishers:
    """The outputs of one camera. Used by one thread."""

    def __init__(self, node: Node, camera: str, class_confidence_encoding: str) -> None:
        self._node = node
        self._camera = camera
        self._class_confidence_encoding = class_confidence_encoding
        self._mask = self._create(Image, "mask")
        self._confidence = self._create(Image, "confidence")
        self._class_scores = self._create(Classification, "class_scores")
        self._overlay = self._create(Image, "overlay")
        self._overlay_compressed = self._create(CompressedImage, "overlay/compressed")
        self._class_confidence: dict[str, Publisher[Image]] = {}

    def set_classes(self, slugs: Sequence[str]) -> None:
        """One `class_confidence` topic per slug; those of a slug that stays are not touched."""
        for slug in self._class_confidence.keys() - set(slugs):
            self._node.destroy_publisher(self._class_confidence.pop(slug))
        for slug in slugs:
            if slug not in self._class_confidence:
                publisher = self._create_class_confidence(slug)
                if publisher is not None:
                    self._class_confidence[slug] = publisher

    def publish(self, header: Header, image: NDArray[np.uint8], result: SegmentationResult, labels: Labels) -> None:
        """Publish all outputs of one image (H, W, 3), which has `header`, under `labels`; those for people last."""
        self._mask.publish(mask_message(header, result.mask, labels.id_table))
        self._confidence.publish(score_message(header, result.confidence, "mono8"))
        self._class_scores.publish(
            Classification(
                header=header,
                results=[ObjectHypothesis(class_id=name, score=score) for name, score in result.scores.items()],
            )
        )
        for name, slug in zip(labels.vocabulary.names, labels.vocabulary.slugs, strict=True):
            publisher = self._class_confidence.get(slug)
            if publisher is not None and publisher.get_subscription_count() > 0:
                scores = result.class_confidence(name)
                publisher.publish(score_message(header, scores, self._class_confidence_encoding))
        self._publish_overlay(header, image, result)

    def _publish_overlay(self, header: Header, image: NDArray[np.uint8], result: SegmentationResult) -> None:
        raw, compressed = (
            publisher.get_subscription_count() > 0 for publisher in (self._overlay, self._overlay_compressed)
        )
        if not (raw or compressed):
            return
        picture = overlay(image, result.mask, result.vocabulary)
        if raw:
            self._overlay.publish(image_message(header, picture))
        if compressed:
            self._overlay_compressed.publish(jpeg_message(header, picture))

    def destroy(self) -> None:
        """Take the topics back."""
        self.set_classes(())
        for publisher in (
            self._mask, self._confidence, self._class_scores, self._overlay, self._overlay_compressed
        ):  # fmt: skip
            self._node.destroy_publisher(publisher)

    def _create(self, message_type: Any, name: str) -> Publisher[Any]:
        return _create(self._node, message_type, f"~/{self._camera}/{name}", qos.output())

    def _create_class_confidence(self, slug: str) -> Publisher[Image] | None:
        """A publisher with the QoS of `confidence`, which may be overridden."""
        topic = f"~/{self._camera}/class_confidence/{slug}"
        try:
            return self._node.create_publisher(
                Image, topic, self._confidence.qos_profile, event_callbacks=qos.no_events()
            )
        # Longer than ROS allows, in a deep namespace; or rcl's own. The other classes' topics are to come.
        except (InvalidTopicNameException, RuntimeError) as error:
            self._node.get_logger().warning(f"no topic {topic}: {' '.join(str(error).split())}")
            return None


def _create(node: Node, message_type: Any, topic: str, profile: QoSProfile) -> Publisher[Any]:
    with qos.overrides_of(topic):
        return node.create_publisher(
            message_type, topic, profile, event_callbacks=qos.no_events(), qos_overriding_options=qos.overridable()
        )

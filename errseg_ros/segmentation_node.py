"""The ROS node: parameters in, images in, masks out. Only what ties the other modules together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from errseg_model import InputError, Segmenter
from errseg_model.errors import ImageError
from errseg_ros import qos
from errseg_ros.conversion import image_from_compressed, image_from_message
from errseg_ros.fault_log import FaultLog
from errseg_ros.parameters import Parameters, Values
from errseg_ros.publishers import CameraPublishers, LabelPublishers
from errseg_ros.vocabulary_server import Terms, VocabularyServer
from errseg_ros.worker import Worker

# image_transport: message type, end of the topic, how a message becomes a picture
_TRANSPORTS: dict[str, tuple[type, str, Callable[[Any], Any]]] = {
    "raw": (Image, "image", image_from_message),
    "compressed": (CompressedImage, "image/compressed", image_from_compressed),
}


class SegmentationNode(Node):
    """Segments the newest image of each camera under the vocabulary in force (public interface, ROS 2).

    Images come in on callback groups of their own, so that under an executor of several threads they flow
    while new names are encoded. All that depends on the vocabulary is published by the worker's thread alone,
    which gives it its order.
    """

    def __init__(self) -> None:
        """Load the model and start. Raises InputError when a parameter, file or device is wrong."""
        super().__init__("errseg")
        self._configuration = Parameters(self)
        values = self._configuration.values
        self._faults = FaultLog(lambda text: self.get_logger().error(text))
        self.get_logger().info(f"loading {values.model}")
        self._segmenter = _load(values)
        self._log_model(values)
        self._server = VocabularyServer(
            self._segmenter.encode,
            values.vocabulary,
            mask_encoding=values.mask_encoding,
            source=values.vocabulary_file or self._parameter_source,
            max_classes=values.max_classes,
            confidence_threshold=values.confidence_threshold,
        )
        self._worker = Worker(self._segment, self._publish_labels, self._on_error)
        self._label_publishers = LabelPublishers(self, values.model)
        self._cameras = {
            camera: CameraPublishers(self, camera, values.class_confidence_encoding) for camera in values.cameras
        }
        self._publish_labels()
        self._configuration.on_change(self._change)
        message_type, topic, self._decode = _TRANSPORTS[values.image_transport]
        self._images = [
            self.create_subscription(
                message_type,
                f"{camera}/{topic}",
                partial(self._worker.submit, camera),
                qos.image_input(),
                callback_group=MutuallyExclusiveCallbackGroup(),
                qos_overriding_options=qos.overridable(),
            )
            for camera in values.cameras
        ]
        self._worker.start()
        self.get_logger().info(f"ready: waiting for {', '.join(image.topic_name for image in self._images)}")

    def stop(self, timeout: float) -> bool:
        """Compute no further image. Returns whether the one in work ended within `timeout` seconds."""
        return self._worker.stop(timeout)

    @property
    def _parameter_source(self) -> str:
        return f"parameter vocabulary of {self.get_fully_qualified_name()}"

    def _change(self, values: Values) -> None:
        """On a thread of the executor: put changed parameters in force. Raises InputError."""
        if self._server.change(
            values.vocabulary,
            source=self._parameter_source,
            max_classes=values.max_classes,
            confidence_threshold=values.confidence_threshold,
        ):
            self._worker.notify()

    def _publish_labels(self) -> None:
        """On the worker's thread, between images: publish what changed since the last call."""
        self._take_terms()

    def _segment(self, camera: str, message: Any) -> None:
        """On the worker's thread: compute one image and publish its outputs."""
        image = self._decode(message)
        terms = self._take_terms()
        result = self._segmenter.segment(
            [image],
            terms.encoded,
            max_classes=terms.max_classes,
            confidence_threshold=terms.labels.threshold,
        )[0]
        self._cameras[camera].publish(message.header, image, result, terms.labels)

    def _take_terms(self) -> Terms:
        """Publish the labels that wait, and return the terms that they belong to."""
        unpublished, terms = self._server.take()
        for labels in unpublished:
            self._label_publishers.publish(labels)
        if unpublished:
            for camera in self._cameras.values():
                camera.set_classes(unpublished[-1].vocabulary.slugs)
        return terms

    def _on_error(self, camera: str | None, error: Exception) -> None:
        where = "labels" if camera is None else f"image of {camera}"
        if isinstance(error, ImageError):
            self._faults.report(f"{where} dropped: {error}")
            return
        if isinstance(error, torch.cuda.OutOfMemoryError):
            torch.cuda.empty_cache()
        self._faults.report(f"{where} failed: {type(error).__name__}: {error}")

    def _log_model(self, values: Values) -> None:
        height, width = values.input_size
        self.get_logger().info(
            f"model {values.model} ({values.checkpoint or 'its own weights'}) on {self._segmenter.device}, "
            f"input {height} x {width}, {len(values.vocabulary)} classes, max_classes {values.max_classes}"
        )


def _load(values: Values) -> Segmenter:
    try:
        return Segmenter.from_pretrained(
            values.model,
            checkpoint=values.checkpoint or None,
            device=values.device,
            input_size=values.input_size,
            max_classes=values.max_classes,
        )
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(f"model {values.model} does not fit into the memory of {values.device}: {error}") from None

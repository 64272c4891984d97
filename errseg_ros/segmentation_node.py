"""The ROS node: parameters in, images in, masks out. Only what ties the other modules together."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # Humble has it nowhere else
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from errseg_model import InputError, Segmenter
from errseg_model.errors import ImageError
from errseg_model.timing import StageTimer
from errseg_ros import qos
from errseg_ros.conversion import image_from_compressed, image_from_message
from errseg_ros.diagnostics import OK, PERIOD, CameraMonitor, Drop, Report
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
        self._monitors = {camera: CameraMonitor() for camera in values.cameras}
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", qos.diagnostics(), qos_overriding_options=qos.overridable()
        )
        self.create_timer(
            PERIOD,
            self._report,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),  # also while a simulation is paused
        )
        self._publish_labels()
        self._configuration.on_change(self._change)
        message_type, topic, self._decode = _TRANSPORTS[values.image_transport]
        self._images = [
            self.create_subscription(
                message_type,
                f"{camera}/{topic}",
                partial(self._receive, camera),
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

    def _receive(self, camera: str, message: Any) -> None:
        """On a thread of the executor: a camera's newest image."""
        self._monitors[camera].receive()
        if self._worker.submit(camera, message):
            self._monitors[camera].drop(Drop.REPLACED)

    def _segment(self, camera: str, message: Any) -> None:
        """On the worker's thread: compute one image and publish its outputs."""
        start = time.perf_counter()
        image = self._decode(message)
        decoded = time.perf_counter()
        terms = self._take_terms()
        timer = StageTimer(self._segmenter.device)
        result = self._segmenter.segment(
            [image],
            terms.encoded,
            max_classes=terms.max_classes,
            confidence_threshold=terms.labels.threshold,
            timer=timer,
        )[0]
        stages = {"decode": decoded - start, **timer.seconds()}
        start = time.perf_counter()
        self._cameras[camera].publish(message.header, image, result, terms.labels)
        stages["publish"] = time.perf_counter() - start
        self._monitors[camera].answer(stages, self._age(message.header))

    def _age(self, header: Header) -> float:
        """Seconds since the stamp by the node's clock, which may be a simulation's."""
        now = self.get_clock().now()
        return float((now - Time.from_msg(header.stamp, now.clock_type)).nanoseconds) / 1e9

    def _report(self) -> None:
        """On a thread of the executor: publish the diagnostics."""
        name, device = self.get_fully_qualified_name().lstrip("/"), str(self._segmenter.device)
        values = self._configuration.values
        message = DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()))
        message.status = [
            self._node_report(values).status(name, device),
            *(
                monitor.report(values.thresholds).status(f"{name}: {camera}", device)
                for camera, monitor in self._monitors.items()
            ),
        ]
        self._diagnostics.publish(message)

    def _node_report(self, values: Values) -> Report:
        labels = self._server.labels
        return Report(
            OK,
            "active",
            {
                "state": "active",
                "model": values.model,
                "vocabulary version": str(labels.version),
                "classes": str(len(labels.vocabulary)),
                "max_classes": str(values.max_classes),
                "confidence_threshold": str(labels.threshold),
            },
        )

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
        """On the worker's thread."""
        if camera is not None:
            self._monitors[camera].drop(Drop.UNDECODABLE if isinstance(error, ImageError) else Drop.FAILED)
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

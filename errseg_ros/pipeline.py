"""From the image to the outputs: what there is while the node is configured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from errseg_model import EncodedVocabulary, SegmentationResult, Segmenter
from errseg_model.errors import ImageError
from errseg_model.timing import StageTimer
from errseg_ros import qos
from errseg_ros.batches import in_batches
from errseg_ros.diagnostics import CameraMonitor, Drop
from errseg_ros.fault_log import FaultLog
from errseg_ros.image_decoding import rgb_from_message
from errseg_ros.parameters import Values
from errseg_ros.publishers import CameraPublishers, LabelPublishers
from errseg_ros.readiness import Readiness
from errseg_ros.ros_time import SECOND, stamp_ns
from errseg_ros.vocabulary_server import History, Terms, VocabularyServer
from errseg_ros.worker import Worker

# image_transport: message type, end of the topic
_TRANSPORTS: dict[str, tuple[type, str]] = {
    "raw": (Image, "image"),
    "compressed": (CompressedImage, "image/compressed"),
}
_CLOSE_SECONDS = 10.0


@dataclass(frozen=True)
class Received:
    """A camera's message, and when it came, by time.perf_counter."""

    message: Any
    seconds: float


@dataclass(frozen=True)
class Picture:
    """A camera's image, ready to be computed."""

    camera: str
    header: Header
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    stages: Mapping[str, float]
    """Seconds it took until here."""


@dataclass(frozen=True)
class _Answer:
    """What an image became, and the seconds that each stage took: of its whole batch."""

    result: SegmentationResult
    stages: Mapping[str, float]


@dataclass(frozen=True)
class _Kept:
    """The classes that the channel reduction kept in a camera's last image."""

    encoded: EncodedVocabulary
    """What they were chosen from: under other words `selected` means other classes."""
    selected: NDArray[np.int64]
    """(K,) positions in the vocabulary."""


class Pipeline:
    """Segments the newest image of each camera under the vocabulary in force, while it is active.

    Images come in on callback groups of their own, so that under an executor of several threads they flow
    while new names are encoded. All that depends on the vocabulary is published by the worker's thread alone,
    which gives it its order; labels are published also while no images flow.
    """

    def __init__(
        self, node: Node, segmenter: Segmenter, readiness: Readiness, values: Values, history: History, source: str
    ) -> None:
        """Encode the vocabulary and create the publishers. Raises ClassIdsExhausted.

        `readiness` has warmed up, `history` is that of the pipeline before, `source` tells where the vocabulary comes
        from.
        """
        self._node = node
        self._segmenter = segmenter
        self._values = values
        self._server = VocabularyServer(
            segmenter.encode,
            values.vocabulary,
            history=history,
            source=source,
            max_classes=values.max_classes,
            min_share=values.min_share,
            confidence_threshold=values.confidence_threshold,
        )
        self._faults = FaultLog(lambda text: node.get_logger().error(text))
        self._label_publishers = LabelPublishers(node, values.model)
        self._cameras = {
            camera: CameraPublishers(node, camera, values.class_confidence_encoding) for camera in values.cameras
        }
        self._message_type, self._topic = _TRANSPORTS[values.image_transport]
        self._images: list[Subscription[Any]] = []
        self.monitors: Mapping[str, CameraMonitor] = {}
        """Of each camera, since it was activated last."""
        self._kept: dict[str, _Kept] = {}  # of each camera; the worker's thread alone changes it while it computes
        self._readiness = readiness
        self._worker = Worker(self._answer, self._take_terms, self._on_error, readiness.batch)
        self._worker.start()
        self._worker.notify()

    @property
    def device(self) -> torch.device:
        """Where images are computed."""
        return self._segmenter.device

    @property
    def history(self) -> History:
        """For the pipeline after this one."""
        return self._server.history

    def change(self, values: Values, source: str) -> None:
        """Put changed parameters in force. Raises ClassIdsExhausted, or what fails; then nothing has changed."""
        if self._server.change(
            values.vocabulary,
            source=source,
            max_classes=values.max_classes,
            min_share=values.min_share,
            confidence_threshold=values.confidence_threshold,
        ):
            self._worker.notify()

    def activate(self) -> list[str]:
        """Subscribe to the images. Returns their topics. Raises InputError of a QoS; then all is as before."""
        self.monitors = {camera: CameraMonitor() for camera in self._values.cameras}
        self._worker.resume()
        try:
            for camera in self._values.cameras:
                self._images.append(self._subscribe(camera))
        except Exception:
            self.deactivate()
            raise
        return [image.topic_name for image in self._images]

    def deactivate(self) -> None:
        """Stop the flow: when this returns, no image is in work and no answer is published any more."""
        while self._images:
            self._node.destroy_subscription(self._images.pop())
        self._worker.pause()
        self._kept.clear()  # what a camera saw before may be long ago

    def close(self) -> None:
        """End all that there is; needs `deactivate` before."""
        self._worker.stop(_CLOSE_SECONDS)
        self._label_publishers.destroy()
        for camera in self._cameras.values():
            camera.destroy()

    def stop(self, timeout: float) -> bool:
        """Compute no further image. Returns whether the one in work ended within `timeout` seconds."""
        return self._worker.stop(timeout)

    def receive(self, camera: str, monitor: CameraMonitor, message: Any) -> None:
        """On a thread of the executor: a camera's newest image."""
        monitor.receive()
        if self._worker.submit(camera, Received(message, time.perf_counter())):
            monitor.drop(Drop.REPLACED)

    def decode(self, camera: str, received: Received) -> Picture | None:
        """On the worker's thread: the message decoded; None where that fails, which is reported."""
        start = time.perf_counter()
        try:
            image = rgb_from_message(received.message)
        except Exception as error:  # of one camera: the others' images are to be computed
            self._worker.report((camera,), error)
            return None
        stages = {"wait": start - received.seconds, "decode": time.perf_counter() - start}
        return Picture(camera, received.message.header, image, stages)

    def _subscribe(self, camera: str) -> Subscription[Any]:
        topic = f"{camera}/{self._topic}"
        with qos.overrides_of(topic):
            return self._node.create_subscription(
                self._message_type,
                topic,
                partial(self.receive, camera, self.monitors[camera]),
                qos.image_input(),
                callback_group=MutuallyExclusiveCallbackGroup(),
                event_callbacks=qos.no_subscription_events(),
                qos_overriding_options=qos.overridable(),
            )

    def _answer(self, images: Sequence[tuple[str, Received]]) -> None:
        """On the worker's thread: answer one image of each of these cameras."""
        pictures = [picture for camera, received in images if (picture := self.decode(camera, received))]
        if not pictures:
            return
        terms = self._take_terms()
        # With a share the segmenter computes each image by itself: the first answer need not wait for the last.
        groups = [[picture] for picture in pictures] if terms.min_share > 0 else [pictures]
        compute = partial(self._segment, terms)
        for picture, answer in chain.from_iterable(in_batches(compute, group) for group in groups):
            if isinstance(answer, Exception):
                self._worker.report((picture.camera,), answer)
                continue
            try:
                self._publish(picture, answer, terms)
            except Exception as error:  # of one camera: the others' answers are to come
                self._worker.report((picture.camera,), error)

    def _segment(self, terms: Terms, pictures: Sequence[Picture]) -> list[_Answer]:
        for picture in pictures:
            self._readiness.announce(picture.camera, picture.image)
        timer = StageTimer(self.device)
        try:
            results = self._segmenter.segment(
                [picture.image for picture in pictures],
                terms.encoded,
                max_classes=terms.max_classes,
                min_share=terms.min_share,
                confidence_threshold=terms.labels.threshold,
                previous=[self._previous(picture.camera, terms.encoded) for picture in pictures],
                timer=timer,
            )
        except torch.cuda.OutOfMemoryError:
            if len(pictures) > 1:
                self._worker.batch = len(pictures) // 2
                self._faults.report(
                    f"{len(pictures)} images together do not fit into the memory of {self.device}: "
                    f"{self._worker.batch} at a time from now on"
                )
            raise
        for picture, result in zip(pictures, results, strict=True):
            self._kept[picture.camera] = _Kept(terms.encoded, result.selected)
        return [_Answer(result, timer.seconds()) for result in results]

    def _previous(self, camera: str, encoded: EncodedVocabulary) -> NDArray[np.int64] | None:
        """The classes of the camera's image before, where it was under the same words."""
        kept = self._kept.get(camera)
        return kept.selected if kept is not None and kept.encoded is encoded else None

    def _publish(self, picture: Picture, answer: _Answer, terms: Terms) -> None:
        start = time.perf_counter()
        self._cameras[picture.camera].publish(picture.header, picture.image, answer.result, terms.labels)
        publish = time.perf_counter() - start
        stages = {**picture.stages, **answer.stages, "publish": publish}
        self.monitors[picture.camera].answer(stages, self._age(picture.header))

    def _age(self, header: Header) -> float:
        """Seconds since the stamp by the node's clock, which may be a simulation's."""
        # In numbers: rclpy's Time refuses a stamp before 1970, which a header may have.
        return float(self._node.get_clock().now().nanoseconds - stamp_ns(header)) / SECOND

    def _take_terms(self) -> Terms:
        """On the worker's thread: publish the labels that wait, and return the terms that they belong to.

        Where that fails they wait on, and no mask comes before them: the next image tries again.
        """
        unpublished, terms = self._server.take()
        for number, labels in enumerate(unpublished):
            try:
                self._label_publishers.publish(labels)
            except Exception:
                self._server.give_back(unpublished[number:])
                raise
        if unpublished:
            for camera in self._cameras.values():
                camera.set_classes(unpublished[-1].vocabulary.slugs)
        return terms

    def _on_error(self, cameras: Sequence[str], error: Exception) -> None:
        """On the worker's thread: the images of these cameras get no answer; without a camera, labels failed."""
        bad = isinstance(error, ImageError)
        for camera in cameras:
            self.monitors[camera].drop(Drop.UNDECODABLE if bad else Drop.FAILED)
        where = f"image of {', '.join(cameras)}" if cameras else "labels"
        if bad:
            self._faults.report(f"{where} dropped: {error}", where)
            return
        if isinstance(error, torch.cuda.OutOfMemoryError):
            torch.cuda.empty_cache()
        self._faults.report(f"{where} failed: {type(error).__name__}: {error}", where)

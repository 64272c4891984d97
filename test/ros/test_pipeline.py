"""From images to answers: the node's pipeline with the embedded model, in this process."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
import torch
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image

from errseg_model import InputError, SegmentationResult, Segmenter, Vocabulary
from errseg_ros.diagnostics import Thresholds
from errseg_ros.parameters import Parameters, Values
from errseg_ros.pipeline import Pipeline
from errseg_ros.publishers import CameraPublishers, LabelPublishers
from errseg_ros.readiness import Readiness
from errseg_ros.vocabulary_server import History, Labels

CAMERAS = ("left", "front", "right")
SECONDS = 30


def picture(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 5)


def message(image: np.ndarray, encoding: str = "rgb8") -> Image:
    height, width = image.shape[:2]
    result = Image(height=height, width=width, encoding=encoding, step=3 * width)
    result.data = array("B", image.tobytes())
    return result


class Recorder(Segmenter):
    """The embedded model; notes what it is asked for, waits where it is told to, fails where it is told to."""

    def record(self, room: int = 100) -> None:
        self.room = room
        self.batches: list[int] = []
        self.sizes: list[tuple[int, ...]] = []
        self.previous: list[Any] = []
        self.kept: list[int] = []
        self.free = threading.Event()
        self.started = threading.Event()

    def segment(self, images: Sequence[Any], *arguments: Any, **options: Any) -> list[SegmentationResult]:
        self.batches.append(len(images))
        self.started.set()
        assert self.free.wait(SECONDS)
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        results = super().segment(images, *arguments, **options)
        self.sizes += [image.shape[:2] for image in images]
        self.previous += options.get("previous", ())
        self.kept += [len(result.selected) for result in results]
        return results


@pytest.fixture
def node(ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    for name in ("ROS_LOG_DIR", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, ros_environment[name])
    context = Context()
    arguments = ["--ros-args", "-p", f"cameras:=[{', '.join(CAMERAS)}]", "-p", "input_size:=[64, 64]"]
    rclpy.init(args=arguments, context=context, domain_id=int(ros_environment["ROS_DOMAIN_ID"]))
    yield Node("errseg", context=context)
    rclpy.shutdown(context=context)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, SegmentationResult]]:
    """Camera and result of everything that is published."""
    published: list[tuple[str, SegmentationResult]] = []

    def publish(self: Any, header: Any, image: Any, result: SegmentationResult, labels: Any) -> None:
        published.append((self._camera, result))

    monkeypatch.setattr(CameraPublishers, "publish", publish)
    return published


@pytest.fixture
def values(node: Node) -> Values:
    """The node's parameters; K classes are kept."""
    return replace(Parameters(node).values, min_share=0.0)


@pytest.fixture
def start(node: Node, values: Values) -> Iterator[Callable[..., tuple[Pipeline, Recorder]]]:
    """An active pipeline that computes three images together, with the model that it uses.

    With `warm_up` it has warmed up as the node does, and computes one at a time.
    """
    pipelines = []

    def make(
        room: int = 100, *, resize: str | None = None, warm_up: bool = False, **changes: Any
    ) -> tuple[Pipeline, Recorder]:
        segmenter = Recorder.from_pretrained(
            "errseg-lite", device="cpu", input_size=(64, 64), resize=resize, min_share=0.0
        )
        assert isinstance(segmenter, Recorder)
        segmenter.record(room)
        if warm_up:
            segmenter.free.set()
        changed = replace(values, **changes)
        readiness = Readiness(segmenter, changed, lambda text: node.get_logger().warning(text))
        if warm_up:
            readiness.warm_up()
        else:
            readiness.batch = 3
        pipeline = Pipeline(node, segmenter, readiness, changed, History.first("mono8"), "test")
        pipelines.append((pipeline, segmenter))
        pipeline.activate()
        return pipeline, segmenter

    yield make
    for pipeline, segmenter in pipelines:
        segmenter.free.set()
        pipeline.deactivate()
        pipeline.close()


def receive(pipeline: Pipeline, camera: str, image: Image) -> None:
    pipeline.receive(camera, pipeline.monitors[camera], image)


def wait_for(answers: list[Any], count: int) -> None:
    end = time.monotonic() + SECONDS
    while len(answers) < count:
        assert time.monotonic() < end, f"{len(answers)} of {count} answers"
        time.sleep(0.01)


def counts(pipeline: Pipeline, camera: str) -> tuple[str, ...]:
    values = pipeline.monitors[camera].report(Thresholds(1e9, 1e9, 1e9)).values
    names = ("received", "answered", "dropped: undecodable", "dropped: failed")
    return tuple(values[name] for name in names)


def test_images_that_wait_together_are_one_batch_and_get_the_answers_they_would_get_alone(
    start: Callable[..., tuple[Pipeline, Recorder]], answers: list[tuple[str, SegmentationResult]]
) -> None:
    pipeline, segmenter = start()
    receive(pipeline, "left", message(picture(0)))
    assert segmenter.started.wait(SECONDS)
    images = {"right": picture(1), "left": picture(2, (40, 80)), "front": picture(3)}
    for camera, image in images.items():
        receive(pipeline, camera, message(image))
    segmenter.free.set()
    wait_for(answers, 4)
    assert segmenter.batches == [1, 3]
    assert [camera for camera, _ in answers] == ["left", *images]
    segmenter.set_vocabulary(answers[0][1].vocabulary)
    for camera, result in answers[1:]:
        alone = segmenter(images[camera])
        assert result.mask.shape == images[camera].shape[:2]
        difference = float(np.abs(result.logits - alone.logits).max())
        assert difference < 1e-3  # float32, summed in another order
        assert (result.mask == alone.mask).mean() > 0.999


def test_with_a_least_share_images_that_wait_together_are_answered_one_after_the_other(
    start: Callable[..., tuple[Pipeline, Recorder]], answers: list[tuple[str, SegmentationResult]]
) -> None:
    pipeline, segmenter = start(min_share=0.05)
    receive(pipeline, "left", message(picture(0)))
    assert segmenter.started.wait(SECONDS)
    for number, camera in enumerate(("right", "left", "front")):
        receive(pipeline, camera, message(picture(number)))
    segmenter.free.set()
    wait_for(answers, 4)
    assert segmenter.batches == [1, 1, 1, 1]
    assert [camera for camera, _ in answers] == ["left", "right", "left", "front"]


def test_a_bad_image_leaves_the_batch_and_the_others_are_answered(
    start: Callable[..., tuple[Pipeline, Recorder]], answers: list[Any]
) -> None:
    pipeline, segmenter = start()
    receive(pipeline, "left", message(picture(0)))
    assert segmenter.started.wait(SECONDS)
    receive(pipeline, "left", message(picture(1)))
    receive(pipeline, "front", message(picture(2), "no encoding"))
    receive(pipeline, "right", message(picture(3)))
    segmenter.free.set()
    wait_for(answers, 3)
    assert segmenter.batches == [1, 2]
    assert [camera for camera, _ in answers] == ["left", "left", "right"]
    assert counts(pipeline, "front") == ("1", "0", "1", "0")
    assert counts(pipeline, "left") == ("2", "2", "0", "0")


def test_what_does_not_fit_together_is_computed_in_smaller_batches_from_then_on(
    start: Callable[..., tuple[Pipeline, Recorder]], answers: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline, segmenter = start(room=2)
    receive(pipeline, "left", message(picture(0)))
    assert segmenter.started.wait(SECONDS)
    for camera in CAMERAS:
        receive(pipeline, camera, message(picture(1)))
    segmenter.free.set()
    wait_for(answers, 4)
    assert segmenter.batches == [1, 3, 1, 2]
    assert sorted(camera for camera, _ in answers[1:]) == sorted(CAMERAS)
    segmenter.free.clear()
    segmenter.started.clear()
    receive(pipeline, "left", message(picture(0)))
    assert segmenter.started.wait(SECONDS)
    for camera in CAMERAS:
        receive(pipeline, camera, message(picture(1)))
    segmenter.free.set()
    wait_for(answers, 8)
    assert segmenter.batches[4:] == [1, 1, 1, 1]  # half of three
    assert capfd.readouterr().err.count("3 images together do not fit into the memory of cpu") == 1


def test_a_device_that_does_not_hold_one_image_is_not_ready(start: Callable[..., tuple[Pipeline, Recorder]]) -> None:
    with pytest.raises(InputError, match=r"an image of 720 x 1280 does not fit .* smaller input_size"):
        start(room=0, warm_up=True)


def test_a_class_of_a_camera_s_image_before_is_held_under_the_same_words_only(
    start: Callable[..., tuple[Pipeline, Recorder]], values: Values, answers: list[tuple[str, SegmentationResult]]
) -> None:
    pipeline, segmenter = start()
    segmenter.free.set()
    values = replace(values, min_share=0.125)

    def previous(camera: str) -> Any:
        """What the camera's next image is told of the one before."""
        receive(pipeline, camera, message(picture(0)))
        wait_for(answers, len(answers) + 1)
        return segmenter.previous[-1]

    def last(camera: str) -> Any:
        return [result.selected for name, result in answers if name == camera][-1]

    assert previous("left") is None
    for change in ({}, {"min_share": 0.25, "max_classes": 3}, {"confidence_threshold": 0.5}):
        pipeline.change(values := replace(values, **change), "test")
        expected = last("left")
        assert previous("left") is expected
    assert previous("right") is None

    pipeline.change(replace(values, vocabulary=Vocabulary.parse(["tree", "sky", "road"])), "test")
    assert previous("left") is None
    expected = last("left")
    assert previous("left") is expected
    pipeline.change(values, "test")
    assert previous("left") is None
    assert previous("right") is None

    pipeline.deactivate()
    pipeline.activate()
    assert previous("left") is None


def test_images_of_one_batch_are_told_of_their_own_camera_s_image_before(
    start: Callable[..., tuple[Pipeline, Recorder]], answers: list[tuple[str, SegmentationResult]]
) -> None:
    pipeline, segmenter = start()
    segmenter.free.set()
    for number, camera in enumerate(CAMERAS, 1):
        receive(pipeline, camera, message(picture(number)))
        wait_for(answers, number)
    before = {camera: result.selected for camera, result in answers}
    segmenter.free.clear()
    segmenter.started.clear()
    receive(pipeline, "left", message(picture(1)))
    assert segmenter.started.wait(SECONDS)
    order = ("right", "front", "left")
    for camera in order:
        receive(pipeline, camera, message(picture(2)))
    segmenter.free.set()
    wait_for(answers, 7)
    assert segmenter.batches[-1] == 3
    left_again = answers[3][1].selected
    for found, expected in zip(segmenter.previous[-3:], (before["right"], before["front"], left_again), strict=True):
        assert found is expected


def test_no_mask_comes_before_labels_that_could_not_be_published(
    start: Callable[..., tuple[Pipeline, Recorder]],
    values: Values,
    answers: list[tuple[str, SegmentationResult]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline, segmenter = start()
    segmenter.free.set()
    receive(pipeline, "left", message(picture(0)))
    wait_for(answers, 1)
    told: list[tuple[str, ...]] = []
    failures = [RuntimeError("no room"), RuntimeError("no room")]  # with the change, and with the next image

    def publish(self: LabelPublishers, labels: Labels) -> None:
        if failures:
            raise failures.pop()
        told.append(labels.vocabulary.names)

    monkeypatch.setattr(LabelPublishers, "publish", publish)
    pipeline.change(replace(values, vocabulary=Vocabulary.parse(["car", "tree"])), "test")
    end = time.monotonic() + SECONDS
    while len(failures) > 1:
        assert time.monotonic() < end
        time.sleep(0.01)
    receive(pipeline, "left", message(picture(0)))
    while counts(pipeline, "left")[-1] != "1":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (len(answers), told) == (1, [])
    receive(pipeline, "left", message(picture(0)))
    wait_for(answers, 2)
    assert told == [("car", "tree")] == [answers[1][1].vocabulary.names]


def test_min_share_is_in_force_with_the_next_image(
    start: Callable[..., tuple[Pipeline, Recorder]], values: Values, answers: list[Any]
) -> None:
    pipeline, segmenter = start()
    segmenter.free.set()
    for number, share in enumerate((0.0, 1.0, 0.0), 1):
        pipeline.change(replace(values, min_share=share), "test")
        receive(pipeline, "left", message(picture(0)))
        wait_for(answers, number)
    assert segmenter.kept == [19, 1, 19]


@pytest.mark.parametrize(
    ("resize", "backend", "lines"),
    [("letterbox", "onnxruntime", 1), ("letterbox", "pytorch", 0), ("stretch", "onnxruntime", 0)],
)
def test_only_the_first_image_of_a_size_that_start_did_not_prepare_is_announced(
    start: Callable[..., tuple[Pipeline, Recorder]],
    answers: list[Any],
    capfd: pytest.CaptureFixture[str],
    resize: str,
    backend: str,
    lines: int,
) -> None:
    pipeline, segmenter = start(warm_up=True, resize=resize, backend=backend, image_size=(36, 128))
    assert segmenter.sizes == [(36, 128)]
    for number, size in enumerate([(36, 128), (18, 64), (80, 96), (36, 128), (80, 96)], 1):
        receive(pipeline, "left", message(picture(0, size)))
        wait_for(answers, number)
        announced = capfd.readouterr().err.count(f"backend {backend} gets ready for an input of 64 x 64")
        assert announced == (lines if number == 3 else 0)

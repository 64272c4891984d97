"""Small bags, and a model that reads its answer from the picture, for the tests of the evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer

from errseg_model.model_choice import ModelChoice
from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.vocabulary import Vocabulary
from errseg_ros.bags import make_typestore
from errseg_ros.evaluate_bag.models import Models
from errseg_ros.evaluate_bag.results import VocabularyPeriod
from errseg_ros.evaluate_bag.settings import Comparison, Settings
from errseg_ros.ros_time import SECOND

START = 1_700_000_000 * SECOND
STEP = 50
"""Red value of a picture's pixel by position of its class, so that the model of the tests knows it."""

Recorded = tuple[str, int, Any]
"""Topic, time of recording in nanoseconds, message."""


class Ros:
    """Makes messages and bags."""

    start = START

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = make_typestore()

    def header(self, stamp_ns: int) -> Any:
        stamp = self.store.types["builtin_interfaces/msg/Time"](stamp_ns // SECOND, stamp_ns % SECOND)
        return self.store.types["std_msgs/msg/Header"](stamp, "camera")

    def image(self, stamp_ns: int, pixels: NDArray[Any], encoding: str = "rgb8") -> Any:
        height, width = pixels.shape[:2]
        data = np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8)
        return self.store.types["sensor_msgs/msg/Image"](
            self.header(stamp_ns), height, width, encoding, 0, data.size // height, data
        )

    def compressed(self, stamp_ns: int, pixels: NDArray[Any], kind: str = "png") -> Any:
        ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
        data = cv2.imencode(f".{kind}", ordered)[1].reshape(-1)
        return self.store.types["sensor_msgs/msg/CompressedImage"](self.header(stamp_ns), kind, data)

    def label_info(self, names: Mapping[int, str]) -> Any:
        entry = self.store.types["vision_msgs/msg/VisionClass"]
        classes = [entry(number, name) for number, name in names.items()]
        return self.store.types["vision_msgs/msg/LabelInfo"](self.header(START), classes, 0.0)

    def bag(self, messages: Iterable[Recorded], name: str = "bag", storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
        path = self.folder / name
        with Writer(path, version=9, storage_plugin=storage) as writer:
            connections: dict[str, Any] = {}
            for topic, time_ns, message in sorted(messages, key=lambda entry: entry[1]):
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=self.store)
                writer.write(connections[topic], time_ns, self.store.serialize_cdr(message, kind))
        return path

    def drive(
        self,
        frames: Iterable[tuple[float, NDArray[Any], NDArray[Any] | None]],
        names: Mapping[int, str] | None = None,
        **bag: Any,
    ) -> Path:
        """A bag of pictures by the seconds of their stamps, with ids of labels."""
        messages: list[Recorded] = []
        if names is not None:
            messages.append(("/camera/label_info", START, self.label_info(names)))
        for seconds, positions, labels in frames:
            stamp = START + round(seconds * SECOND)
            messages.append(("/camera/image", stamp, self.image(stamp, picture(positions))))
            if labels is not None:
                messages.append(("/camera/labels", stamp, self.image(stamp, labels.astype(np.uint8), "mono8")))
        return self.bag(messages, **bag)


def picture(positions: NDArray[Any], confidence: int = 255) -> NDArray[np.uint8]:
    """(H, W, 3) that the model of the tests takes for these positions of classes; 5 is unlabelled."""
    image = np.zeros((*positions.shape, 3), np.uint8)
    image[..., 0] = positions * STEP
    image[..., 1] = confidence
    return image


class PictureModels(Models):
    """Reads the mask from the red channel and the confidence from the green one."""

    def __init__(self, settings: Settings, other: Callable[[NDArray[np.uint16]], NDArray[Any]] | None = None) -> None:
        self._since = [period.since for period in settings.periods]
        self._words = [period.vocabulary for period in settings.periods]
        comparison = settings.comparison
        self._others_words = [comparison.vocabulary or v for v in self._words] if comparison else None
        self._change = other or (lambda mask: mask)
        self.seconds = 0.0
        self.computed: list[int] = []
        self.before: list[tuple[list[int] | None, list[int] | None]] = []
        """What each image was told of the one before, for this model and the compared one."""
        self.segmenter = SimpleNamespace(
            config=SimpleNamespace(name="picture", input_size=(64, 64), max_classes=32), device="cpu"
        )

    def segment(
        self, image: NDArray[np.uint8], period: int, before: NDArray[np.int64] | None
    ) -> tuple[SegmentationResult, float]:
        self.before.append((before if before is None else before.tolist(), None))
        self.seconds += 0.01
        self.computed.append(int(image[0, 0, 0]))
        return self._result(image, self._words[period]), 10.0

    def segment_other(
        self, image: NDArray[np.uint8], period: int, before: NDArray[np.int64] | None
    ) -> SegmentationResult | None:
        if self._others_words is None:
            return None
        self.before[-1] = (self.before[-1][0], before if before is None else before.tolist())
        result = self._result(image, self._others_words[period])
        mask = self._change(result.mask).astype(np.uint16)
        return SegmentationResult(result.vocabulary, mask, result.confidence, {}, _positions(mask), _NO_LOGITS)

    def _result(self, image: NDArray[np.uint8], vocabulary: Vocabulary) -> SegmentationResult:
        mask = (image[..., 0] // STEP).astype(np.uint16)
        mask[mask >= len(vocabulary)] = UNLABELLED
        confidence = image[..., 1].astype(np.float32) / 255
        return SegmentationResult(vocabulary, mask, confidence, {}, _positions(mask), _NO_LOGITS)


def _positions(mask: NDArray[np.uint16]) -> NDArray[np.int64]:
    return np.unique(mask[mask != UNLABELLED]).astype(np.int64)


_NO_LOGITS = np.zeros((0, 1, 1), np.float32)


@pytest.fixture
def ros(tmp_path: Path) -> Ros:
    """Makes messages, and bags in the test's folder."""
    return Ros(tmp_path)


@pytest.fixture
def make_models() -> type[PictureModels]:
    """Makes models that read their answer from the picture."""
    return PictureModels


@pytest.fixture
def draw() -> Callable[..., NDArray[np.uint8]]:
    """Draws the picture of a mask."""
    return picture


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings of words, in force from 0 on, or of (since, words)."""

    def make(*words: str | tuple[float, str], compare: str | None = None, **fields: Any) -> Settings:
        pairs = [(0.0, entry) if isinstance(entry, str) else entry for entry in words]
        periods = tuple(VocabularyPeriod(since, Vocabulary.from_argument(text)) for since, text in pairs)
        comparison = None
        if compare is not None:
            comparison = Comparison(ModelChoice("errseg-b"), Vocabulary.from_argument(compare) if compare else None)
        return Settings(ModelChoice(), periods, comparison=comparison, **fields)

    return make


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds."""

    def wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.05)

    return wait

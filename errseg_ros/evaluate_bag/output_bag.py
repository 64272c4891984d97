"""The bag that an evaluation leaves: everything that was recorded, and what the model makes of it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection

from errseg_model.errors import InputError
from errseg_model.visualization import overlay
from errseg_model.vocabulary import Vocabulary
from errseg_ros.bags import BagMessage, BagReader, make_typestore
from errseg_ros.bags.messages import CLASSIFICATION, COMPRESSED_IMAGE, IMAGE, LABEL_INFO, VISION_INFO, Messages
from errseg_ros.bags.writing import NewBag, offered_qos
from errseg_ros.class_ids import CAPACITIES, ClassIds, id_table, smallest_encoding
from errseg_ros.evaluate_bag.plan import BagPlan
from errseg_ros.evaluate_bag.settings import Settings
from errseg_ros.evaluate_bag.sink import ComputedFrame
from errseg_ros.image_encoding import class_ids, grey_scores, jpeg

NODE = "/errseg"
CAMERA = "camera"

# Every topic of ours below the node's name, its type, and whether it is latched: as the node publishes them.
_TOPICS = {
    "label_info": (LABEL_INFO, True),
    "vocabulary_info": (VISION_INFO, True),
    f"{CAMERA}/mask": (IMAGE, False),
    f"{CAMERA}/confidence": (IMAGE, False),
    f"{CAMERA}/class_scores": (CLASSIFICATION, False),
    f"{CAMERA}/overlay/compressed": (COMPRESSED_IMAGE, False),
}
_NO_HASH = f"RIHS01_{'0' * 64}"  # what the writer wants for a type that nobody knows


class OutputBag:
    """A FrameSink. The bag is mcap, its chunks packed with zstd; it is there only once it is whole.

    Messages have the time of recording of their image. Memory does not grow with the bag's length.
    """

    def __init__(
        self, path: Path, source: Path, vocabularies: Iterable[Vocabulary], model: str, threshold: float
    ) -> None:
        """Start to write.

        Args:
            path: folder of the new bag.
            source: the bag whose messages come.
            vocabularies: all that results have; names keep their ids over all of them, as in the node.
            model: its name, for vocabulary_info.
            threshold: confidence below which pixels are unlabelled, for label_info.

        Raises InputError when `path` exists or cannot be written.
        """
        self._model, self._threshold = model, threshold
        self._ids = _ids(vocabularies)
        self._store = make_typestore()
        self._messages = Messages(self._store)
        self._vocabulary: Vocabulary | None = None
        self._table = id_table((), self._ids.capacity)
        self._version = 0
        with BagReader(source) as reader:
            self.node = _free_name(reader)
            """Name that our topics are below: /errseg, or one with a number where the bag has that already."""
            self._bag = NewBag(path, compressed=True)
            try:
                self._originals = {name: self._copy_topic(reader, name) for name in reader.topics}
                self._ours = {name: self._add_topic(name) for name in _TOPICS}
            except BaseException:
                self._bag.discard()
                raise

    def write_original(self, message: BagMessage) -> None:
        """A message of the bag, as it is. Raises InputError when it cannot be written."""
        self._bag.write(self._originals[message.topic], message.time_ns, message.data)

    def write_result(self, frame: ComputedFrame) -> None:
        """Mask, confidence, scores and overlay of an image, after the labels where they are new. Raises InputError."""
        result, messages = frame.result, self._messages
        header = messages.header(frame.stamp_ns, frame.frame_id)
        if result.vocabulary != self._vocabulary:
            self._change_vocabulary(result.vocabulary, header, frame.time_ns)
        encoding = next(name for name, capacity in CAPACITIES.items() if capacity == self._ids.capacity)
        self._put(
            f"{CAMERA}/mask", frame.time_ns, messages.image(header, class_ids(result.mask, self._table), encoding)
        )
        scores = grey_scores(result.confidence)
        self._put(f"{CAMERA}/confidence", frame.time_ns, messages.image(header, scores, "mono8"))
        self._put(f"{CAMERA}/class_scores", frame.time_ns, messages.classification(header, result.scores))
        picture = jpeg(overlay(frame.image, result.mask, result.vocabulary))
        self._put(f"{CAMERA}/overlay/compressed", frame.time_ns, messages.compressed_image(header, picture, "jpeg"))

    def close(self) -> None:
        """Finish; the bag is whole from now on. Raises InputError when it cannot be written."""
        self._bag.close()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._bag.discard()

    def _change_vocabulary(self, vocabulary: Vocabulary, header: Any, time_ns: int) -> None:
        ids = self._ids.of(vocabulary)
        self._vocabulary = vocabulary
        self._table = id_table(ids, self._ids.capacity)
        self._version += 1
        names = zip(ids, vocabulary.names, strict=True)
        self._put("label_info", time_ns, self._messages.label_info(header, names, self._threshold))
        info = self._messages.vision_info(header, self._model, "evaluate_bag", self._version)
        self._put("vocabulary_info", time_ns, info)

    def _copy_topic(self, reader: BagReader, name: str) -> Connection:
        topic = reader.topics[name]
        text, digest = reader.definition(name)
        return self._bag.writer.add_connection(
            name, topic.type, msgdef=text, rihs01=digest or _NO_HASH, offered_qos_profiles=topic.qos
        )

    def _add_topic(self, name: str) -> Connection:
        kind, latched = _TOPICS[name]
        qos = offered_qos(depth=1, latched=latched)
        return self._bag.writer.add_connection(
            f"{self.node}/{name}", kind, typestore=self._store, offered_qos_profiles=[qos]
        )

    def _put(self, name: str, time_ns: int, message: Any) -> None:
        self._bag.write(self._ours[name], time_ns, self._store.serialize_cdr(message, _TOPICS[name][0]))


def check_output(path: Path, resume: bool) -> None:
    """Raises InputError where the output cannot be written, before anything is computed."""
    if resume:
        raise InputError(
            "--output-bag needs the masks of all images, and those from before the interruption are not kept: leave it "
            "out with --resume, or start anew without --resume"
        )
    if os.path.lexists(path):
        raise InputError(f"--output-bag {path} exists already: remove it or choose another name")
    if not os.path.isdir(path.absolute().parent):
        raise InputError(f"--output-bag {path}: {path.absolute().parent} is not a folder: create it first")


@dataclass(frozen=True)
class OutputBags:
    """The output bags of an evaluation: one at the path, or a folder there with one for each of several bags."""

    path: Path
    """Absolute."""
    several: bool

    def place(self, plan: BagPlan) -> Path:
        """Where the output bag of a bag goes; the folder above it is there. Raises InputError."""
        if not self.several:
            return self.path
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"--output-bag {self.path} cannot be written: {error.strerror or error}") from None
        return self.path / plan.name

    def make(self, plan: BagPlan, settings: Settings) -> OutputBag:
        """Start to write the output bag of a bag. Raises InputError."""
        vocabularies = [period.vocabulary for period in settings.periods]
        return OutputBag(self.place(plan), plan.path, vocabularies, settings.model.model, settings.confidence_threshold)


def _ids(vocabularies: Iterable[Vocabulary]) -> ClassIds:
    """An id for every name, in mono8 where there are enough. Raises InputError where there are none."""
    words = tuple(vocabularies)
    ids = ClassIds(CAPACITIES[smallest_encoding(words)])
    for vocabulary in words:
        ids = ids.extend(vocabulary)
    return ids


def _free_name(reader: BagReader) -> str:
    names = itertools.chain([NODE], (f"{NODE}_{number}" for number in itertools.count(2)))
    return next(name for name in names if not any(topic.startswith(f"{name}/") for topic in reader.topics))

"""Frames of a rosbag2, sqlite3 or mcap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_ros.bags import BagError, BagReader
from errseg_ros.bags.messages import IMAGE_TYPES
from errseg_ros.demo.frames import Frame, Pace, SourceError
from errseg_ros.image_decoding import ids_from_image, rgb_from_message
from errseg_ros.ros_time import stamp_ns
from errseg_ros.sample_bag import IMAGE_TOPIC, LABEL_INFO_TOPIC, LABEL_TOPIC


class BagSource:
    """An image topic of a rosbag2; with exact labels where it is a sample drive."""

    def __init__(self, path: Path, pace: Pace, image_topic: str | None = None) -> None:
        """Goes through the topic's times, and reads the labels.

        Args:
            path: the bag's folder, or its one file.
            pace: how much of it is shown.
            image_topic: raw or compressed; None takes the first by name.

        Raises:
            SourceError: no bag, or no such image topic in it.
        """
        self._path = path
        try:
            with BagReader(path) as reader:
                self._topic = self._choose_topic(reader, image_topic)
                stamps = self._stamps(reader, pace)
                self.label_names: tuple[str, ...] = ()
                self._labels: dict[int, NDArray[np.uint8]] = {}
                if self._topic == IMAGE_TOPIC and {LABEL_TOPIC, LABEL_INFO_TOPIC} <= reader.topics.keys():
                    self.label_names = self._read_label_names(reader)
                    self._labels = self._read_labels(reader, stamps[-1])
        except BagError as error:
            raise SourceError(f"source {path} cannot be read as a rosbag2: {error}") from None
        self._chosen = pace.choose(stamps)
        self.stamps = tuple(stamps[position] - stamps[0] for position in self._chosen)
        self.name = f"{path}, topic {self._topic}"

    def frames(self) -> Iterator[Frame]:
        """Raises SourceError for a message that is no picture."""
        stamps = iter(self.stamps)
        chosen = set(self._chosen)
        with BagReader(self._path) as reader:
            for position, recorded in enumerate(reader.messages([self._topic])):
                if position > self._chosen[-1]:
                    break
                if position not in chosen:
                    continue
                try:
                    message = reader.deserialize(recorded)
                    image = rgb_from_message(message)
                except InputError as error:
                    raise SourceError(f"{self.name}: message {position}: {error}") from None
                yield Frame(next(stamps), image, self._labels.get(stamp_ns(message.header)))

    def _choose_topic(self, reader: BagReader, wanted: str | None) -> str:
        topics = [topic.name for topic in reader.topics.values() if topic.type in IMAGE_TYPES and topic.count]
        if wanted is None and topics:
            return topics[0]
        if wanted in topics:
            return str(wanted)
        there_are = f"; it has {', '.join(topics)}" if topics else ""
        missing = "no topic with images" if wanted is None else f"no images on the topic {wanted!r}"
        raise SourceError(f"source {self._path}: the bag has {missing}{there_are}")

    def _stamps(self, reader: BagReader, pace: Pace) -> list[int]:
        stamps: list[int] = []
        for message in reader.messages([self._topic]):
            if stamps and message.time_ns - stamps[0] >= pace.duration_ns:
                break
            stamps.append(message.time_ns)
        if not stamps:
            raise SourceError(f"source {self._path} is damaged: {'; '.join(reader.problems)}")
        return stamps

    def _read_label_names(self, reader: BagReader) -> tuple[str, ...]:
        """Names by id, which count from 0 in a sample drive."""
        for message in reader.messages([LABEL_INFO_TOPIC]):
            return tuple(label.class_name for label in reader.deserialize(message).class_map)
        return ()

    def _read_labels(self, reader: BagReader, until: int) -> dict[int, NDArray[np.uint8]]:
        """Label images by header stamp in nanoseconds."""
        labels = {}
        for recorded in reader.messages([LABEL_TOPIC]):
            if recorded.time_ns > until:
                break
            message = reader.deserialize(recorded)
            labels[stamp_ns(message.header)] = np.array(ids_from_image(message), np.uint8)
        return labels

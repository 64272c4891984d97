"""Frames of a rosbag2, sqlite3 or mcap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import LabelInfo

from errseg_model.errors import InputError
from errseg_ros.demo.frames import Frame, Pace, SourceError
from errseg_ros.image_decoding import ids_from_image, rgb_from_compressed, rgb_from_image
from errseg_ros.sample_bag import IMAGE_TOPIC, LABEL_INFO_TOPIC, LABEL_TOPIC

BAG_FILES = (".mcap", ".db3")

# Message type and what makes a picture of it, by type name.
_IMAGE_TYPES: dict[str, tuple[Any, Callable[[Any], NDArray[np.uint8]]]] = {
    "sensor_msgs/msg/Image": (Image, rgb_from_image),
    "sensor_msgs/msg/CompressedImage": (CompressedImage, rgb_from_compressed),
}


class BagSource:
    """An image topic of a rosbag2; with exact labels where it is a sample drive."""

    def __init__(self, path: Path, pace: Pace, image_topic: str | None = None) -> None:
        """Goes through the topic's times, and reads the labels.

        Args:
            path: the bag's folder, or its one .mcap or .db3 file.
            pace: how much of it is shown.
            image_topic: raw or compressed; None takes the first by name.

        Raises:
            SourceError: no bag, or no such image topic in it.
        """
        self._path = path
        with closing(self._open()) as reader:
            self._topic = self._choose_topic(reader, image_topic)
            stamps = self._stamps(reader, pace)
            self.label_names: tuple[str, ...] = ()
            self._labels: dict[tuple[int, int], NDArray[np.uint8]] = {}
            if self._topic == IMAGE_TOPIC and {LABEL_TOPIC, LABEL_INFO_TOPIC} <= reader.topics.keys():
                self.label_names = self._read_label_names(reader)
                self._labels = self._read_labels(reader, stamps[-1])
        self._chosen = pace.choose(stamps)
        self.stamps = tuple(stamps[position] - stamps[0] for position in self._chosen)
        self.name = f"{path}, topic {self._topic}"

    def frames(self) -> Iterator[Frame]:
        """Raises SourceError for a message that is no picture."""
        stamps = iter(self.stamps)
        chosen = set(self._chosen)
        with closing(self._open()) as reader:
            for position, (_, kind, data) in enumerate(self._messages(reader, self._topic)):
                if position > self._chosen[-1]:
                    break
                if position not in chosen:
                    continue
                message_type, to_image = _IMAGE_TYPES[kind]
                try:
                    message = self._decode(data, message_type)
                    image = to_image(message)
                except InputError as error:
                    raise SourceError(f"{self.name}: message {position}: {error}") from None
                yield Frame(next(stamps), image, self._labels.get(_stamp(message)))

    def _open(self) -> AnyReader:
        try:
            # Bags of Humble and older hold no message definitions.
            reader = AnyReader([self._path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
            reader.open()
        except Exception as error:  # a file that is no bag fails anywhere in the reader
            message = " ".join(str(error).split())
            raise SourceError(f"source {self._path} cannot be read as a rosbag2: {message}") from None
        return reader

    def _choose_topic(self, reader: AnyReader, wanted: str | None) -> str:
        topics = sorted(c.topic for c in reader.connections if c.msgtype in _IMAGE_TYPES and c.msgcount)
        if wanted is None and topics:
            return topics[0]
        if wanted in topics:
            return str(wanted)
        there_are = f"; it has {', '.join(topics)}" if topics else ""
        missing = "no topic with images" if wanted is None else f"no images on the topic {wanted!r}"
        raise SourceError(f"source {self._path}: the bag has {missing}{there_are}")

    def _messages(self, reader: AnyReader, topic: str) -> Iterator[tuple[int, str, bytes]]:
        """Time of recording, type and bytes of each message."""
        connections = [connection for connection in reader.connections if connection.topic == topic]
        try:
            for connection, stamp, data in reader.messages(connections):
                yield stamp, connection.msgtype, bytes(data)
        except Exception as error:  # as above
            raise SourceError(f"source {self._path} is damaged: {' '.join(str(error).split())}") from None

    def _stamps(self, reader: AnyReader, pace: Pace) -> list[int]:
        stamps: list[int] = []
        for stamp, _, _ in self._messages(reader, self._topic):
            if stamps and stamp - stamps[0] >= pace.duration_ns:
                break
            stamps.append(stamp)
        return stamps

    def _read_label_names(self, reader: AnyReader) -> tuple[str, ...]:
        """Names by id, which count from 0 in a sample drive."""
        for _, _, data in self._messages(reader, LABEL_INFO_TOPIC):
            return tuple(label.class_name for label in self._decode(data, LabelInfo).class_map)
        return ()

    def _read_labels(self, reader: AnyReader, until: int) -> dict[tuple[int, int], NDArray[np.uint8]]:
        """Label images by header stamp."""
        labels = {}
        for stamp, _, data in self._messages(reader, LABEL_TOPIC):
            if stamp > until:
                break
            message = self._decode(data, Image)
            labels[_stamp(message)] = np.array(ids_from_image(message), np.uint8)
        return labels

    def _decode(self, data: bytes, message_type: Any) -> Any:
        try:
            return deserialize_message(data, message_type)
        except RuntimeError as error:
            raise SourceError(f"source {self._path} is damaged: {error}") from None


def _stamp(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec

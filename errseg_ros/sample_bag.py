"""Writes the sample drive as a rosbag2; no ROS installation is needed for it.

Topics: images, camera_info, exact labels, and once, before everything else and latched, the names of the label ids.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.store import Typestore
from tqdm import tqdm

from errseg_model.errors import InputError
from errseg_model.sample_drive import CLASSES, Intrinsics, SampleDrive
from errseg_ros.bags import make_typestore

IMAGE_TOPIC = "/camera/image"
CAMERA_INFO_TOPIC = "/camera/camera_info"
LABEL_TOPIC = "/camera/labels"
LABEL_INFO_TOPIC = "/camera/label_info"
FRAME_ID = "camera_optical_frame"
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def write_sample_bag(path: str | Path, drive: SampleDrive, storage: str = "mcap") -> None:
    """Write all frames of a drive into a new bag (a folder); `storage` is "mcap" or "sqlite3".

    The bag takes its final name only when it is whole. Raises InputError if the path exists, if the folder that is to
    hold it does not, or for an unknown storage.
    """
    path = Path(path).absolute()
    if storage not in STORAGES:
        raise InputError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r}")
    if os.path.lexists(path):
        raise InputError(f"{path} exists already: remove it or choose another name")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder: create it first")
    # The files of a bag carry its name, so it is written under that name, in a folder beside.
    workshop = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with Writer(workshop / path.name, version=9, storage_plugin=STORAGES[storage]) as writer:
            _write(writer, drive)
        if os.path.lexists(path):
            raise InputError(f"{path} has been created by somebody else in the meantime: choose another name")
        os.rename(workshop / path.name, path)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _write(writer: Writer, drive: SampleDrive) -> None:
    store = make_typestore()
    messages = _Messages(store, drive.intrinsics)
    sensor, latched = _qos(QosDurability.VOLATILE), _qos(QosDurability.TRANSIENT_LOCAL)
    topics = {
        LABEL_INFO_TOPIC: ("vision_msgs/msg/LabelInfo", latched),
        IMAGE_TOPIC: ("sensor_msgs/msg/Image", sensor),
        CAMERA_INFO_TOPIC: ("sensor_msgs/msg/CameraInfo", sensor),
        LABEL_TOPIC: ("sensor_msgs/msg/Image", sensor),
    }
    connections = {
        topic: writer.add_connection(topic, name, typestore=store, offered_qos_profiles=[qos])
        for topic, (name, qos) in topics.items()
    }

    def put(topic: str, stamp_ns: int, message: Any) -> None:
        writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, topics[topic][0]))

    for frame in tqdm(drive, desc="sample drive", unit="frame", disable=None):
        if frame.index == 0:
            put(LABEL_INFO_TOPIC, frame.stamp_ns, messages.label_info(frame.stamp_ns))
        put(IMAGE_TOPIC, frame.stamp_ns, messages.image(frame.stamp_ns, frame.image, "rgb8"))
        put(CAMERA_INFO_TOPIC, frame.stamp_ns, messages.camera_info(frame.stamp_ns))
        put(LABEL_TOPIC, frame.stamp_ns, messages.image(frame.stamp_ns, frame.labels, "mono8"))


class _Messages:
    """Builds the messages of one camera."""

    def __init__(self, store: Typestore, intrinsics: Intrinsics) -> None:
        self._types = store.types
        self._intrinsics = intrinsics

    def _header(self, stamp_ns: int) -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=FRAME_ID)

    def image(self, stamp_ns: int, pixels: NDArray[np.uint8], encoding: str) -> Any:
        return self._types["sensor_msgs/msg/Image"](
            header=self._header(stamp_ns),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // pixels.shape[0],
            data=np.ascontiguousarray(pixels).reshape(-1),
        )

    def camera_info(self, stamp_ns: int) -> Any:
        """A camera without distortion (REP 104)."""
        k = self._intrinsics
        matrix = np.array(k.matrix)
        return self._types["sensor_msgs/msg/CameraInfo"](
            header=self._header(stamp_ns),
            height=k.height,
            width=k.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=matrix,
            r=np.eye(3).reshape(-1),
            p=np.hstack([matrix.reshape(3, 3), np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=self._types["sensor_msgs/msg/RegionOfInterest"](
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )

    def label_info(self, stamp_ns: int) -> Any:
        entry = self._types["vision_msgs/msg/VisionClass"]
        classes = [entry(class_id=i, class_name=name) for i, name in enumerate(CLASSES)]
        return self._types["vision_msgs/msg/LabelInfo"](header=self._header(stamp_ns), class_map=classes, threshold=0.0)


def _qos(durability: QosDurability) -> Qos:
    """Reliable; a latched topic gives its last message to whoever subscribes later."""
    depth = 1 if durability == QosDurability.TRANSIENT_LOCAL else 10
    never = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=durability,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 360x640, got {text!r}")
    return int(match[1]), int(match[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Console script `sample_bag`; exit status 2 and one line for wrong input."""
    parser = argparse.ArgumentParser(prog="sample_bag", description="Write the sample drive as a rosbag2.")
    parser.add_argument("--out", required=True, metavar="BAG", help="folder of the new bag; must not exist")
    parser.add_argument("--seed", type=int, default=0, help="which town, light and weather (default 0)")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds (default 10)")
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="images a second (default 10)")
    parser.add_argument("--size", type=_size, default=(360, 640), metavar="HxW", help="default 360x640")
    parser.add_argument("--storage", choices=tuple(STORAGES), default="mcap", help="default mcap")
    args = parser.parse_args(argv)
    try:
        height, width = args.size
        drive = SampleDrive(args.seed, height, width, args.rate, args.duration)
        write_sample_bag(args.out, drive, args.storage)
    except (InputError, OSError) as error:
        print(f"sample_bag: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(drive)} frames of {height}x{width}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the sample drive as a rosbag2; no ROS installation is needed for it.

Topics: images, camera_info, exact labels, and once, before everything else and latched, the names of the label ids.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Writer
from tqdm import tqdm

from errseg_model.cli.options import image_size
from errseg_model.errors import InputError
from errseg_model.sample_drive import CLASSES, SampleDrive
from errseg_ros.bags import make_typestore
from errseg_ros.bags.messages import CAMERA_INFO, IMAGE, LABEL_INFO, Messages
from errseg_ros.bags.writing import STORAGES, NewBag, offered_qos

IMAGE_TOPIC = "/camera/image"
CAMERA_INFO_TOPIC = "/camera/camera_info"
LABEL_TOPIC = "/camera/labels"
LABEL_INFO_TOPIC = "/camera/label_info"
FRAME_ID = "camera_optical_frame"


def write_sample_bag(path: str | Path, drive: SampleDrive, storage: str = "mcap") -> None:
    """Write all frames of a drive into a new bag (a folder); `storage` is "mcap" or "sqlite3".

    The bag takes its final name only when it is whole. Raises InputError if the path exists, if it cannot be written,
    if the folder that is to hold it does not exist, or for an unknown storage.
    """
    with NewBag(Path(path), storage) as writer:
        _write(writer, drive)


def _write(writer: Writer, drive: SampleDrive) -> None:
    store = make_typestore()
    messages = Messages(store)
    sensor, latched = offered_qos(), offered_qos(depth=1, latched=True)
    topics = {
        LABEL_INFO_TOPIC: (LABEL_INFO, latched),
        IMAGE_TOPIC: (IMAGE, sensor),
        CAMERA_INFO_TOPIC: (CAMERA_INFO, sensor),
        LABEL_TOPIC: (IMAGE, sensor),
    }
    connections = {
        topic: writer.add_connection(topic, name, typestore=store, offered_qos_profiles=[qos])
        for topic, (name, qos) in topics.items()
    }

    def put(topic: str, stamp_ns: int, message: Any) -> None:
        writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, topics[topic][0]))

    for frame in tqdm(drive, desc="sample drive", unit="frame", disable=None):
        stamp_ns = frame.stamp_ns
        header = messages.header(stamp_ns, FRAME_ID)
        if frame.index == 0:
            put(LABEL_INFO_TOPIC, stamp_ns, messages.label_info(header, enumerate(CLASSES)))
        put(IMAGE_TOPIC, stamp_ns, messages.image(header, frame.image, "rgb8"))
        put(CAMERA_INFO_TOPIC, stamp_ns, messages.camera_info(header, drive.intrinsics))
        put(LABEL_TOPIC, stamp_ns, messages.image(header, frame.labels, "mono8"))


def main(argv: Sequence[str] | None = None) -> int:
    """Console script `sample_bag`; exit status 2 and one line for wrong input."""
    parser = argparse.ArgumentParser(prog="sample_bag", description="Write the sample drive as a rosbag2.")
    parser.add_argument("--out", required=True, metavar="BAG", help="folder of the new bag; must not exist")
    parser.add_argument("--seed", type=int, default=0, help="which town, light and weather (default 0)")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds (default 10)")
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="images a second (default 10)")
    parser.add_argument("--size", type=image_size, default=(360, 640), metavar="HxW", help="default 360x640")
    parser.add_argument("--storage", choices=tuple(STORAGES), default="mcap", help="default mcap")
    args = parser.parse_args(argv)
    try:
        height, width = args.size
        drive = SampleDrive(args.seed, height, width, args.rate, args.duration)
        write_sample_bag(args.out, drive, args.storage)
    except InputError as error:
        print(f"sample_bag: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(drive)} frames of {height}x{width}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Messages that are written into bags, built without ROS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from errseg_model.sample_drive import Intrinsics
from errseg_ros.ros_time import SECOND

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
VISION_INFO = "vision_msgs/msg/VisionInfo"
CLASSIFICATION = "vision_msgs/msg/Classification"


class Messages:
    """Builds messages of the types of a store; serialise them with the same."""

    def __init__(self, store: Typestore) -> None:
        self._types = store.types

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """std_msgs/Header."""
        seconds, nanoseconds = divmod(stamp_ns, SECOND)
        stamp = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def image(self, header: Any, pixels: NDArray[np.generic], encoding: str) -> Any:
        """Pixels (H, W) or (H, W, C), without padding."""
        return self._types[IMAGE](
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // pixels.shape[0],
            data=np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False))
            .reshape(-1)
            .view(np.uint8),
        )

    def compressed_image(self, header: Any, data: NDArray[np.uint8], kind: str) -> Any:
        """The bytes (N,) of an encoded picture; `kind` is "jpeg" or "png"."""
        return self._types[COMPRESSED_IMAGE](header=header, format=kind, data=data)

    def camera_info(self, header: Any, intrinsics: Intrinsics) -> Any:
        """A camera without distortion (REP 104)."""
        matrix = np.array(intrinsics.matrix)
        return self._types[CAMERA_INFO](
            header=header,
            height=intrinsics.height,
            width=intrinsics.width,
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

    def label_info(self, header: Any, names: Iterable[tuple[int, str]], threshold: float = 0.0) -> Any:
        """Pairs of id and name, and the score below which a pixel is unlabelled."""
        entry = self._types["vision_msgs/msg/VisionClass"]
        classes = [entry(class_id=number, class_name=name) for number, name in names]
        return self._types[LABEL_INFO](header=header, class_map=classes, threshold=threshold)

    def vision_info(self, header: Any, method: str, location: str, version: int) -> Any:
        """Model, where its names come from, and the version of these names."""
        return self._types[VISION_INFO](
            header=header, method=method, database_location=location, database_version=version
        )

    def classification(self, header: Any, scores: Mapping[str, float]) -> Any:
        """Score by name."""
        hypothesis = self._types["vision_msgs/msg/ObjectHypothesis"]
        results = [hypothesis(class_id=name, score=score) for name, score in scores.items()]
        return self._types[CLASSIFICATION](header=header, results=results)

"""The pinhole camera that looks along the street.

World: X to the right, Y up, Z along the street, metres. Image: u to the right, v down, pixel centres at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]

FOCAL_OF_WIDTH = 0.82  # 63 degrees wide, as usual for a dash camera
HORIZON = 0.45  # share of the image above the horizon when the car stands level
NEAREST = 0.8  # metres; points nearer than this are drawn as if they were this far away


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole parameters in pixels; there is no distortion."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def for_size(cls, height: int, width: int) -> Intrinsics:
        focal = FOCAL_OF_WIDTH * width
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def matrix(self) -> tuple[float, ...]:
        """K of sensor_msgs/CameraInfo: nine numbers, row by row."""
        return (self.fx, 0.0, self.cx, 0.0, self.fy, self.cy, 0.0, 0.0, 1.0)

    @property
    def level_pitch(self) -> float:
        """Downward pitch (radians) that puts the horizon where `HORIZON` says."""
        return float(np.arctan((self.cy - HORIZON * self.height) / self.fy))


@dataclass(frozen=True)
class Pose:
    """Where the camera is and where it looks: yaw to the right, pitch down, radians."""

    x: float
    height: float
    z: float
    yaw: float
    pitch: float


class Camera:
    """Projects world points to the canvas, which is `scale` times as large as the image."""

    def __init__(self, intrinsics: Intrinsics, pose: Pose, scale: int) -> None:
        self.intrinsics = intrinsics
        self.pose = pose
        self.focal = intrinsics.fx * scale
        self.centre = (scale * intrinsics.cx + (scale - 1) / 2, scale * intrinsics.cy + (scale - 1) / 2)
        sy, cy = np.sin(pose.yaw), np.cos(pose.yaw)
        sp, cp = np.sin(pose.pitch), np.cos(pose.pitch)
        self._rotation: Points = np.array([[cy, 0.0, -sy], [-sp * sy, -cp, -sp * cy], [cp * sy, -sp, cp * cy]])
        self.horizon = float(self.centre[1] - self.focal * np.tan(pose.pitch))

    def project(self, x: Points, y: Points, z: Points) -> tuple[Points, Points]:
        """World coordinates (N,) each to canvas points (N, 2) and depths (N,) in metres."""
        r, pose = self._rotation, self.pose
        x, y, z = x - pose.x, y - pose.height, z - pose.z
        depth = r[2, 0] * x + r[2, 1] * y + r[2, 2] * z
        ratio = self.focal / np.maximum(depth, NEAREST)
        out = np.empty((len(x), 2))
        out[:, 0] = (r[0, 0] * x + r[0, 2] * z) * ratio + self.centre[0]
        out[:, 1] = (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z) * ratio + self.centre[1]
        return out, depth

    def ground_homography(self, tile_metres: float, tile_pixels: int) -> Points:
        """(3, 3): image pixel (scale 1) to a pixel of a tile that repeats every `tile_metres` on the ground."""
        k = self.intrinsics
        inverse = np.array([[1 / k.fx, 0, -k.cx / k.fx], [0, 1 / k.fy, -k.cy / k.fy], [0, 0, 1]])
        ray = self._rotation.T @ inverse  # world direction of a pixel, linear in (u, v, 1)
        x, z = self.pose.x % tile_metres, self.pose.z % tile_metres
        scale = tile_pixels / tile_metres
        down = -ray[1]
        rows = [
            scale * (self.pose.height * ray[0] + x * down),
            scale * (self.pose.height * ray[2] + z * down),
            down,
        ]
        return np.stack(rows)

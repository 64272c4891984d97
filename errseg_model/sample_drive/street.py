"""The course of the street and the way the camera takes along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.camera import NEAREST, Camera, Intrinsics, Points, Pose

LANE = 2.85  # metres, half of the carriageway; lanes lie on both sides of the middle
KERB = 0.12  # height of the pavement
NEAR = 2.4  # metres ahead of the camera where drawing of long things starts: out of view at any height


@dataclass(frozen=True)
class CrossSection:
    """Widths of the street, (left, right): distance of the kerb from the middle, and width of the pavement."""

    kerb: tuple[float, float]
    pavement: tuple[float, float]

    @classmethod
    def choose(cls, rng: np.random.Generator) -> CrossSection:
        """Each side has a strip for parked cars, or the kerb is close to the lane."""
        kerb = [
            float(rng.uniform(4.75, 5.0)) if rng.random() < 0.45 else float(rng.uniform(3.05, 3.5)) for _ in range(2)
        ]
        pavement = [float(x) for x in rng.uniform(2.6, 5.2, 2)]
        return cls((kerb[0], kerb[1]), (pavement[0], pavement[1]))

    def parks(self, i: int) -> bool:
        """Whether cars park at the kerb of side `i` (0 left, 1 right)."""
        return self.kerb[i] > 4.8


@dataclass(frozen=True)
class Street:
    """A gently winding street. Places are (s, d): metres along it and to the right of its middle."""

    # two waves: amplitude (m), wave number (1/m), phase
    waves: tuple[tuple[float, float, float], tuple[float, float, float]]

    @classmethod
    def wind(cls, rng: np.random.Generator) -> Street:
        waves = []
        for length in (rng.uniform(380, 620), rng.uniform(190, 300)):
            number = 2 * np.pi / length
            waves.append((float(rng.uniform(0.02, 0.085) / number), float(number), float(rng.uniform(0, 2 * np.pi))))
        return cls((waves[0], waves[1]))

    def middle(self, s: Points) -> Points:
        """X of the middle line at `s` (any shape)."""
        (a0, n0, p0), (a1, n1, p1) = self.waves
        return np.asarray(a0 * np.sin(n0 * s + p0) + a1 * np.sin(n1 * s + p1))

    def slope(self, s: float) -> float:
        """dX/ds of the middle line: the tangent of its heading."""
        return float(sum(a * n * np.cos(n * s + p) for a, n, p in self.waves))


@dataclass(frozen=True)
class Ride:
    """How the camera car moves. `side` is -1 where traffic keeps left, 1 where it keeps right."""

    side: int
    speed: float  # m/s, mean
    start: float  # s at time 0
    phases: tuple[float, float, float, float]
    height: float

    @classmethod
    def choose(cls, rng: np.random.Generator) -> Ride:
        p = [float(x) for x in rng.uniform(0, 2 * np.pi, 4)]
        return cls(
            -1 if rng.random() < 0.75 else 1,
            float(rng.uniform(7.0, 11.0)),
            float(rng.uniform(200, 4000)),
            (p[0], p[1], p[2], p[3]),
            float(rng.uniform(1.25, 1.55)),
        )

    def position(self, t: float) -> float:
        """s at time t (seconds): urban speed that swells and falls, always forward."""
        return self.start + self.speed * t + 4.0 * float(np.sin(0.35 * t + self.phases[0]))

    def pose(self, t: float, street: Street, intrinsics: Intrinsics) -> Pose:
        s = self.position(t)
        a, b, c, d = self.phases
        lateral = self.side * (LANE / 2 - 0.1) + 0.22 * np.sin(0.43 * t + b)
        yaw = np.arctan(street.slope(s + 5.0)) + 0.012 * np.sin(0.5 * t + c)
        pitch = intrinsics.level_pitch + 0.005 * np.sin(1.9 * t + d) + 0.0025 * np.sin(7.3 * t + a)
        bounce = 0.012 * np.sin(7.3 * t + b)
        x = float(street.middle(np.array(s))) + float(lateral)
        return Pose(x, self.height + float(bounce), s, float(yaw), float(pitch))


def clip_near(places: Points, depth: Points) -> Points:
    """The part of a polygon (N, 3) that lies in front of the camera; `depth` (N,) belongs to its corners."""
    kept = []
    for k in range(len(places)):
        before, here = depth[k - 1], depth[k]
        if (before >= NEAREST) != (here >= NEAREST):
            kept.append(places[k - 1] + (places[k] - places[k - 1]) * ((NEAREST - before) / (here - before)))
        if here >= NEAREST:
            kept.append(places[k])
    return np.array(kept).reshape(-1, 3)


class View:
    """One camera in the street: places (s, d, height) in, canvas points out."""

    def __init__(self, street: Street, camera: Camera) -> None:
        self.street = street
        self.camera = camera
        self.s = camera.pose.z

    def project(self, places: Points) -> tuple[Points, Points]:
        """(N, 3) of s, d, height to canvas points (N, 2) and depths (N,)."""
        s = places[:, 0]
        return self.camera.project(self.street.middle(s) + places[:, 1], places[:, 2], s)

    def strip(self, s: Points, d0: float, d1: float, h0: float = 0.0, h1: float = 0.0) -> Points:
        """Outline (2 n, 2) of a ribbon between two lateral offsets over the stations `s` (n,)."""
        s = np.maximum(s, self.s + NEAR)
        n = len(s)
        places = np.empty((2 * n, 3))
        places[:n] = (0.0, d0, h0)
        places[n:] = (0.0, d1, h1)
        places[:n, 0] = s
        places[n:, 0] = s[::-1]
        return self.project(places)[0]

    def quad(self, s0: float, s1: float, d0: float, d1: float, h0: float = 0.0, h1: float = 0.0) -> Points:
        return self.strip(np.array([s0, s1]), d0, d1, h0, h1)

    def sees(self, point: NDArray[np.float64], margin: float = 0.0) -> bool:
        return bool(-margin < point[0] < 2 * self.camera.centre[0] + margin)

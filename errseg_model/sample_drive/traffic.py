"""What moves: cars, cyclists and walkers. Each kind is a train of slots that moves at one speed for ever.

A slot's content comes from the seed and its number alone, so any moment of a drive of any length can be drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from errseg_model.sample_drive.palette import CLOTHES, LEGS, SKIN, make_walker, vehicle_look
from errseg_model.sample_drive.street import LANE, CrossSection, Ride
from errseg_model.sample_drive.things import Cyclist, Vehicle, Walker
from errseg_model.sample_drive.weather import Rgb

_HIGH_VISIBILITY: Rgb = (206, 222, 60)


@dataclass(frozen=True)
class Train:
    """Slots `spacing` metres apart that move along the street at `speed` m/s (negative: towards the camera)."""

    tag: int
    speed: float
    spacing: float
    chance: float

    def slots(self, seed: int, t: float, near: float, far: float) -> Iterator[tuple[int, float, np.random.Generator]]:
        """Occupied slots between two places: number, place now, and a fresh generator for its content."""
        shift = self.speed * t
        first, last = int(np.floor((near - shift) / self.spacing)), int(np.ceil((far - shift) / self.spacing))
        for number in range(first, last + 1):
            rng = np.random.default_rng((seed, 20 + self.tag, number & 0xFFFFFFFF))
            if rng.random() >= self.chance:
                continue
            s = number * self.spacing + shift + float(rng.uniform(0, 0.6)) * self.spacing
            if near <= s <= far:
                yield number, s, rng


class Traffic:
    """The moving part of a drive."""

    def __init__(self, seed: int, ride: Ride) -> None:
        self.seed = seed
        self.ride = ride
        rng = np.random.default_rng((seed, 14))
        busy = float(rng.uniform(0.25, 0.65))
        self._oncoming = Train(0, -float(rng.uniform(7, 11)), 30.0, busy)
        self._walkers = (
            Train(1, 1.35, 9.0, float(rng.uniform(0.3, 0.65))),
            Train(2, -1.25, 9.0, float(rng.uniform(0.3, 0.6))),
        )
        self._cyclists = (Train(3, 4.8, 34.0, 0.75), Train(4, -5.0, 44.0, 0.6))
        self._lead = (float(rng.uniform(18, 46)), float(rng.uniform(0, 2 * np.pi)), bool(rng.random() < 0.8))
        shapes = [vehicle_look(rng) for _ in range(2)]
        self._lead_looks = tuple(shapes)
        self._cached_walker = lru_cache(maxsize=256)(self._look_of_walker)

    def vehicles(self, t: float, near: float, far: float) -> list[Vehicle]:
        """Cars in both lanes."""
        side = self.ride.side
        found = []
        for _, s, rng in self._oncoming.slots(self.seed, t, near, far):
            shape, colour = vehicle_look(rng, buses=0.05)
            d = -side * (LANE / 2 + float(rng.uniform(-0.15, 0.2)))
            found.append(Vehicle(s, d, -1, shape, colour, moving=True))
        gap, phase, present = self._lead
        if present:
            here = self.ride.position(t)
            for i, (shape, colour) in enumerate(self._lead_looks):
                swell = 9.0 * float(np.sin(0.23 * t + phase + i)) + 4.0 * float(np.sin(0.51 * t + 2 * phase))
                slowing = 9.0 * 0.23 * float(np.cos(0.23 * t + phase + i)) < -0.8
                s = here + max(gap + 22.0 * i + swell, 9.0 + 16.0 * i)
                if near <= s <= far:
                    found.append(Vehicle(s, side * (LANE / 2 + 0.1), 1, shape, colour, braking=slowing, moving=True))
        return found

    def walkers(self, t: float, near: float, far: float, section: CrossSection) -> list[Walker]:
        """People on both pavements."""
        found = []
        for train in self._walkers:
            for number, s, rng in train.slots(self.seed, t, near, far):
                i = int(rng.integers(2))
                d = (-1, 1)[i] * (section.kerb[i] + float(rng.uniform(0.9, section.pavement[i] - 0.3)))
                stride = float(rng.uniform(0, 6.28)) + t * 5.6
                found.append(self._walk(train, number, s, d, stride))
        return found

    def _walk(self, train: Train, number: int, s: float, d: float, stride: float) -> Walker:
        look = self._cached_walker(train.tag, number)
        return Walker(
            s,
            d,
            1 if train.speed > 0 else -1,
            stride,
            1.0,
            look.height,
            look.skin,
            look.hair,
            look.top,
            look.legs,
            look.bag,
        )

    def _look_of_walker(self, tag: int, number: int) -> Walker:
        return make_walker(np.random.default_rng((self.seed, 30 + tag, number & 0xFFFFFFFF)), 0, 0, 1, 0, 1)

    def cyclists(self, t: float, near: float, far: float) -> list[Cyclist]:
        """Cyclists at the edge of both lanes."""
        found = []
        for train, side in zip(self._cyclists, (self.ride.side, -self.ride.side), strict=True):
            for _, s, rng in train.slots(self.seed, t, near, far):
                top = _HIGH_VISIBILITY if rng.random() < 0.35 else CLOTHES[int(rng.integers(len(CLOTHES)))]
                helmet = ((230.0, 230.0, 230.0), (40.0, 40.0, 44.0), (170.0, 30.0, 30.0))[int(rng.integers(3))]
                d = side * (LANE - float(rng.uniform(0.25, 0.5)))
                found.append(
                    Cyclist(
                        s,
                        d,
                        1 if train.speed > 0 else -1,
                        float(rng.uniform(0, 6.28)) + 6.0 * t,
                        float(rng.uniform(1.62, 1.85)),
                        SKIN[int(rng.integers(len(SKIN)))],
                        top,
                        LEGS[int(rng.integers(len(LEGS)))],
                        helmet,
                        (60.0, 64.0, 90.0),
                    )
                )
        return found

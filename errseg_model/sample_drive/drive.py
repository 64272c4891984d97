"""The sample drive: a sequence of images with exact labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError
from errseg_model.sample_drive.buildings import draw_house
from errseg_model.sample_drive.camera import Camera, Intrinsics
from errseg_model.sample_drive.canvas import Canvas
from errseg_model.sample_drive.cars import CarPainter
from errseg_model.sample_drive.foliage import Foliage
from errseg_model.sample_drive.ground import Ground
from errseg_model.sample_drive.kerbside import draw_barrier, draw_post, draw_tree
from errseg_model.sample_drive.lens import Lens
from errseg_model.sample_drive.people import draw_cyclist, draw_walker
from errseg_model.sample_drive.plots import LEAFY, SPRITES
from errseg_model.sample_drive.scene import BLOCK, Block, Scene
from errseg_model.sample_drive.sky import Backdrop
from errseg_model.sample_drive.street import NEAR, Ride, Street, View
from errseg_model.sample_drive.traffic import Traffic
from errseg_model.sample_drive.weather import Light, choose_weather

SCALE = 2  # the canvas has twice the pixels of the image in each direction
SIGHT = 150.0  # metres: things beyond are left to the background
START_NS = 1_700_000_000_000_000_000  # stamp of the first frame


@dataclass(frozen=True)
class DriveFrame:
    """One frame: `image` (H, W, 3) uint8 RGB and `labels` (H, W) uint8 ids of `CLASSES`."""

    index: int
    stamp_ns: int
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class SampleDrive:
    """A drive through a town. The same arguments give the same frames, in any order.

    Raises InputError for a negative seed, a size below 48 x 64 pixels, a rate that is not above 0, or a duration
    without a frame.
    """

    def __init__(
        self,
        seed: int = 0,
        height: int = 360,
        width: int = 640,
        rate_hz: float = 10.0,
        duration_s: float = 10.0,
    ) -> None:
        if seed < 0:
            raise InputError(f"seed must be 0 or more, got {seed}")
        if height < 48 or width < 64:
            raise InputError(f"size must be at least 48x64 (height x width), got {height}x{width}")
        if not (rate_hz > 0 and math.isfinite(rate_hz)):
            raise InputError(f"rate_hz must be a number above 0, got {rate_hz}")
        if not (duration_s * rate_hz >= 1 and math.isfinite(duration_s)):
            raise InputError(f"duration_s must hold at least one frame at {rate_hz} Hz, got {duration_s}")
        self.seed, self.height, self.width, self.rate_hz = seed, height, width, rate_hz
        self._count = int(duration_s * rate_hz + 1e-6)
        self.intrinsics = Intrinsics.for_size(height, width)
        rng = np.random.default_rng((seed, 10))
        self.weather = choose_weather(rng)
        self._street = Street.wind(rng)
        self._ride = Ride.choose(rng)
        self._scene = Scene(seed)
        self._traffic = Traffic(seed, self._ride)
        self._light = Light(self.weather)
        self._foliage = Foliage.grow(seed, LEAFY, SPRITES - LEAFY)
        self._ground = Ground(seed, self._light, self._scene.section)
        self._cars = CarPainter(self._light)
        self._backdrop = Backdrop(seed, self._light, height * SCALE, width * SCALE, self.intrinsics.fx * SCALE)
        self._lens = Lens(seed, self.weather, height, width)
        self._block = lru_cache(maxsize=16)(self._scene.block)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[DriveFrame]:
        return (self.frame(i) for i in range(self._count))

    def frame(self, index: int) -> DriveFrame:
        """Draw frame `index`, 0 to len - 1. Raises IndexError outside that range."""
        if not 0 <= index < self._count:
            raise IndexError(f"frame {index} is outside 0..{self._count - 1}")
        t = index / self.rate_hz
        camera = Camera(self.intrinsics, self._ride.pose(t, self._street, self.intrinsics), SCALE)
        canvas = Canvas(self.height, self.width, SCALE)
        self._draw(canvas, View(self._street, camera), t)
        image, labels = canvas.reduce()
        image = self._lens.finish(image, labels, camera.horizon / SCALE, index)
        return DriveFrame(index, START_NS + round(index * 1e9 / self.rate_hz), image, labels)

    def _draw(self, canvas: Canvas, view: View, t: float) -> None:
        """Background, ground, then everything upright from far to near."""
        near, far = view.s + NEAR - 4.0, view.s + SIGHT
        blocks: list[Block] = [self._block(k) for k in range(int(near // BLOCK), int(far // BLOCK) + 1)]
        houses = [h for b in blocks for h in b.houses if h.s1 > near]
        trees = [x for b in blocks for x in b.trees if near - 6 < x.s < far]
        cars = [c for b in blocks for c in b.parked if near < c.s < far] + self._traffic.vehicles(t, near, far)
        self._backdrop.draw(canvas, view.camera)
        self._ground.draw(canvas, view, blocks, houses, trees, cars)
        light, foliage = self._light, self._foliage
        jobs: list[tuple[float, Callable[[], None]]] = []
        for house in houses:
            jobs.append((house.s1, partial(draw_house, canvas, view, light, house)))
        for tree in trees:
            jobs.append((tree.s, partial(draw_tree, canvas, view, light, foliage, tree)))
        for block in blocks:
            for barrier in block.barriers:
                if barrier.s1 > near and barrier.s0 < view.s + 110:
                    jobs.append((barrier.s1, partial(draw_barrier, canvas, view, light, foliage, barrier)))
            for post in block.posts:
                if near < post.s < view.s + 120:
                    jobs.append((post.s, partial(draw_post, canvas, view, light, post)))
            for walker in block.walkers:
                if near < walker.s < view.s + 90:
                    jobs.append((walker.s, partial(draw_walker, canvas, view, light, walker)))
        for car in cars:
            jobs.append((car.s, partial(self._cars.draw, canvas, view, car)))
        for walker in self._traffic.walkers(t, near, view.s + 90, self._scene.section):
            jobs.append((walker.s, partial(draw_walker, canvas, view, light, walker)))
        for cyclist in self._traffic.cyclists(t, near, view.s + 90):
            jobs.append((cyclist.s, partial(draw_cyclist, canvas, view, light, cyclist)))
        for _, job in sorted(jobs, key=lambda job: -job[0]):
            job()

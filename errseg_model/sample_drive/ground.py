"""Carriageway, markings, pavements, grass, and the shadows that fall on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.camera import Points
from errseg_model.sample_drive.canvas import SHIFT, Canvas
from errseg_model.sample_drive.car_meshes import SHAPES
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.noise import fractal
from errseg_model.sample_drive.scene import BLOCK, Block
from errseg_model.sample_drive.street import KERB, LANE, NEAR, CrossSection, View
from errseg_model.sample_drive.things import House, Tree, Vehicle
from errseg_model.sample_drive.weather import Light, Rgb

FAR = 330.0  # metres of street drawn ahead of the camera
_FINE, _COARSE = 3.2, 64.0  # metres of ground in a tile of grain
_TILE = 512
_WHITE: Rgb = (214, 213, 206)
_YELLOW: Rgb = (196, 164, 62)


Mark: TypeAlias = tuple[float, float, float, float, Rgb]  # s0, s1, d0, d1, colour


def _long(s0: float, s1: float, d0: float, d1: float, colour: Rgb) -> list[Mark]:
    """A line along the street in pieces short enough to follow its bends."""
    cuts = np.linspace(s0, s1, max(int((s1 - s0) / 5.0), 1) + 1)
    return [(float(a), float(b), d0, d1, colour) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def _steps(start: float, stop: float, step: float) -> list[float]:
    return [float(s) for s in np.arange(start, stop, step)]


class Ground:
    """Paints everything that lies flat."""

    def __init__(self, seed: int, light: Light, section: CrossSection) -> None:
        rng = np.random.default_rng((seed, 18))
        self.light = light
        self.section = section
        dark = 0.72 if light.weather.wetness else 1.0
        tone = float(rng.uniform(84, 122)) * dark
        self.asphalt: Rgb = (tone, tone * 1.0, tone * 1.01)
        slab = float(rng.uniform(128, 160)) * (0.5 + 0.5 * dark)
        self.slabs: Rgb = (slab * 1.01, slab * 0.985, slab * 0.94)
        self.grass: Rgb = (92 + float(rng.uniform(-10, 24)), 108 + float(rng.uniform(-10, 10)), 58)
        self.bays = bool(rng.random() < 0.45)
        self.centre_yellow = bool(rng.random() < 0.12)
        fine = 128 + 7 * fractal(rng, _TILE, _TILE, 160, 2) + 6 * rng.standard_normal((_TILE, _TILE))
        self._fine = np.clip(fine, 0, 255).astype(np.uint8)
        self._coarse = self._patches(rng)

    @staticmethod
    def _patches(rng: np.random.Generator) -> NDArray[np.uint8]:
        """Worn and mended asphalt: large stains, rectangles of newer surface, cracks, covers."""
        field = 128 + 7 * fractal(rng, _TILE, _TILE, 12, 5)
        per_metre = _TILE / _COARSE
        for _ in range(12):
            x, y = rng.uniform(0, _TILE, 2)
            w, h = rng.uniform(1, 3) * per_metre, rng.uniform(1.5, 9) * per_metre
            cv2.rectangle(field, (int(x), int(y)), (int(x + w), int(y + h)), float(rng.uniform(104, 140)), -1)
        for _ in range(16):
            start = rng.uniform(0, _TILE, 2)
            steps = start + np.cumsum(rng.normal((0.4, 2.4), (2.2, 1.4), (22, 2)), axis=0)
            cv2.polylines(field, [steps.astype(np.int32)], False, 100.0, 1)
        for _ in range(9):
            cv2.circle(field, tuple(int(v) for v in rng.uniform(8, _TILE - 8, 2)), 3, 82.0, -1)
        return np.asarray(np.clip(field, 0, 255), np.uint8)

    def draw(
        self,
        canvas: Canvas,
        view: View,
        blocks: Sequence[Block],
        houses: Sequence[House],
        trees: Sequence[Tree],
        vehicles: Sequence[Vehicle],
    ) -> None:
        horizon = min(max(int(round(view.camera.horizon)), 0), canvas.height - 1)
        s = view.s + np.concatenate([np.geomspace(NEAR, FAR, 40), [1500.0]])
        light, top = self.light, self.light.top
        below = np.array(
            [[-9, horizon], [canvas.width + 9, horizon], [canvas.width + 9, canvas.height], [-9, canvas.height]]
        )
        canvas.convex(below, light.paint(self.grass, top, 60.0, Label.TREE))
        canvas.convex(
            view.strip(np.array([view.s + 60, view.s + 4000.0]), -400, 400),
            light.paint(self.grass, top, 220.0, Label.TREE),
        )
        for start, end, colour in ((0, 22, 12.0), (21, 30, 50.0), (29, 41, 140.0)):
            canvas.polygon(
                view.strip(s[start:end], -self.section.kerb[0], self.section.kerb[1]),
                light.paint(self.asphalt, top, colour, Label.ROAD),
            )
        for block in blocks:
            for side, a, b in block.gaps:
                canvas.polygon(
                    view.quad(a, b, side * (self.section.kerb[side > 0] - 0.05), side * 60.0),
                    light.paint(self.asphalt, top, max(a - view.s, 0), Label.ROAD),
                )
        self._markings(canvas, view, blocks)
        for side in (-1, 1):
            corners = {b for block in blocks for where, _, b in block.gaps if where == side}
            for a, b in self._pavement_pieces(blocks, side, view.s):
                self._pavement(canvas, view, side, a, b, corner=a in corners)
        self._surface(canvas, view, horizon, houses, trees, vehicles)

    @staticmethod
    def _pavement_pieces(blocks: Sequence[Block], side: int, s: float) -> list[tuple[float, float]]:
        """Stretches of pavement between side streets, near to far, in short lengths so that haze can grow."""
        gaps = sorted((a, b) for block in blocks for where, a, b in block.gaps if where == side)
        cuts, start = [], s + NEAR
        for a, b in gaps:
            if b <= start:
                continue
            if a > start:
                cuts.append((start, a))
            start = b
        cuts.append((start, s + FAR))
        pieces = []
        for a, b in cuts:
            for limit in (s + 14.0, s + 40.0, s + 100.0):
                if a < limit < b:
                    pieces.append((a, limit))
                    a = limit
            pieces.append((a, b))
        return pieces

    def _pavement(self, canvas: Canvas, view: View, side: int, a: float, b: float, corner: bool) -> None:
        light, top = self.light, self.light.top
        stations: Points = np.linspace(a, b, max(int((b - a) / 6.0), 2) + 1, dtype=np.float64)
        away = max((a + min(b, a + 40)) / 2 - view.s, 0)
        face = light.left if side < 0 else light.right
        edge, width = side * self.section.kerb[side > 0], self.section.pavement[side > 0]
        canvas.polygon(
            view.strip(stations, edge, edge + side * width, KERB, KERB),
            light.paint(self.slabs, top, away, Label.PAVEMENT),
        )
        if corner:  # the kerb along the side street faces the camera
            face_ends = [[a, edge, 0.0], [a, edge, KERB], [a, edge + side * width, KERB], [a, edge + side * width, 0.0]]
            canvas.convex(
                view.project(np.array(face_ends))[0], light.paint(self.slabs, light.front, away, Label.PAVEMENT)
            )
        near = stations[stations < view.s + 70]
        if len(near) > 1:
            kerb = (168.0, 166.0, 160.0)
            canvas.polygon(
                view.strip(near, edge, edge, 0.0, KERB),
                light.paint(kerb, (face[0] * 0.8, face[1] * 0.8, face[2] * 0.8), away, Label.PAVEMENT),
            )
            canvas.polygon(
                view.strip(near, edge, edge + side * 0.14, KERB, KERB),
                light.paint(kerb, top, away, Label.PAVEMENT),
            )
        joint = light.paint(
            (self.slabs[0] * 0.84, self.slabs[1] * 0.84, self.slabs[2] * 0.84), top, away, Label.PAVEMENT
        )
        if a < view.s + 14.0:
            for s in _steps(np.ceil(a / 0.9) * 0.9, min(b, view.s + 14.0), 0.9):
                ends = view.project(np.array([[s, edge + side * 0.14, KERB], [s, edge + side * width, KERB]]))[0]
                canvas.line(ends[0], ends[1], 1, joint)
            for k in range(1, int(width / 0.65)):
                d = edge + side * (0.14 + 0.65 * k)
                ends = view.project(np.array([[a, d, KERB], [min(b, view.s + 14.0), d, KERB]]))[0]
                canvas.line(ends[0], ends[1], 1, joint)

    def _markings(self, canvas: Canvas, view: View, blocks: Sequence[Block]) -> None:
        marks: list[Mark] = []
        worn = (self.asphalt[0] * 0.965, self.asphalt[1] * 0.965, self.asphalt[2] * 0.965)
        for lane in (-LANE / 2, LANE / 2):  # tyre tracks
            for d in (lane - 0.75, lane + 0.75):
                marks += _long(view.s + NEAR, view.s + 50, d - 0.17, d + 0.17, worn)
        middle = _YELLOW if self.centre_yellow else _WHITE
        marks += [(s, s + 3.4, -0.06, 0.06, middle) for s in _steps(np.floor(view.s / 6) * 6, view.s + 110, 6.0)]
        for block in blocks:
            a, b = block.s0, block.s0 + BLOCK
            for i, side in enumerate((-1, 1)):
                kerb = side * self.section.kerb[i]
                gap = next(((x, y) for where, x, y in block.gaps if where == side), None)
                for x, y in [(a, b)] if gap is None else [(a, gap[0] - 1), (gap[1] + 1, b)]:
                    if block.yellow[i]:
                        for d in (0.28, 0.5):
                            marks += _long(x, y, kerb - side * d, kerb - side * (d + 0.1), _YELLOW)
                    elif self.bays and self.section.parks(i):
                        marks += [
                            (s, s + 1.0, side * (LANE + 0.05), side * (LANE + 0.15), _WHITE)
                            for s in _steps(x, min(y, view.s + 70), 2.0)
                        ]
                if gap is not None:  # give-way dashes across the mouth of the side street
                    marks += [
                        (s, s + 0.6, kerb + side * 0.1, kerb + side * 0.3, _WHITE)
                        for s in _steps(gap[0] + 0.3, gap[1] - 0.5, 1.0)
                    ]
        marks = [m for m in marks if m[1] > view.s + NEAR and m[0] < view.s + 110]
        span = np.array([m[:4] for m in marks])
        places = np.zeros((len(marks), 4, 3))
        places[:, :, 0] = np.maximum(span[:, [0, 1, 1, 0]], view.s + NEAR)
        places[:, :, 1] = span[:, [2, 2, 3, 3]]
        corners = view.project(places.reshape(-1, 3))[0].reshape(-1, 4, 2)
        for mark, quad in zip(marks, corners, strict=True):
            canvas.convex(quad, self.light.paint(mark[4], self.light.top, mark[0] - view.s, Label.ROAD))

    def _surface(
        self,
        canvas: Canvas,
        view: View,
        horizon: int,
        houses: Sequence[House],
        trees: Sequence[Tree],
        vehicles: Sequence[Vehicle],
    ) -> None:
        """Multiply the ground by grain and shadow."""
        camera, scale = view.camera, canvas.scale
        top = horizon // scale
        size = (canvas.width // scale, canvas.height // scale - top)
        if size[1] < 2:
            return
        shift = np.array([[1, 0, 0], [0, 1, top], [0, 0, 1]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        layers = [
            cv2.warpPerspective(
                tile,
                camera.ground_homography(metres, _TILE) @ shift,
                size,
                flags=flags,
                borderMode=cv2.BORDER_WRAP,
            ).astype(np.float32)
            for tile, metres in ((self._fine, _FINE), (self._coarse, _COARSE))
        ]
        rows = np.arange(top, top + size[1], dtype=np.float32)
        below = np.maximum(rows - camera.horizon / scale, 0.5)
        depth = camera.pose.height * camera.intrinsics.fy / below
        fine = (1 / (1 + (depth / 14.0) ** 2))[:, None]
        coarse = (1 / (1 + (depth / 60.0) ** 2))[:, None]
        grain = (1 + (layers[0] / 128 - 1) * fine) * (1 + (layers[1] / 128 - 1) * coarse)
        shade = self._shadows(view, scale, houses, trees, vehicles, size, top)
        factor = np.asarray(np.clip(grain * shade * (128 / 255), 0, 255), np.uint8)
        part = canvas.pixels[top * scale :]
        large = cv2.resize(factor, (canvas.width, part.shape[0]), interpolation=cv2.INTER_LINEAR)
        even = np.full_like(large, 128)
        cv2.multiply(part, cv2.merge([large, large, large, even]), dst=part, scale=1 / 128)
        if canvas.height > horizon > top * scale:  # a row of background shared the reduced row
            canvas.pixels[top * scale : horizon, :, 3] = canvas.pixels[top * scale - 1, :, 3]

    def _shadows(
        self,
        view: View,
        scale: int,
        houses: Sequence[House],
        trees: Sequence[Tree],
        vehicles: Sequence[Vehicle],
        size: tuple[int, int],
        top: int,
    ) -> NDArray[np.uint8]:
        """(rows, columns) of brightness, 255 where no shadow falls."""
        shade = np.full((size[1], size[0]), 255, np.uint8)
        w = self.light.weather

        def fill(points: Points, value: int) -> None:
            fixed = ((points / scale - (0, top)).clip(-3000, 3000) * (1 << SHIFT)).astype(np.int32)
            cv2.fillPoly(shade, [fixed], value, shift=SHIFT)

        if w.casts_shadows:
            share = (w.ambient[1] + 0.06) / self.light.top[1]
            dark = int(255 * min(share, 1.0))
            ds, dd = -w.sun_ahead / w.sun_height, -w.sun_side / w.sun_height
            for house in houses:
                if house.d * dd < 0:
                    h = house.height + house.ridge * 0.6
                    base = np.array([house.s0, house.s1, house.s1 + h * ds, house.s0 + h * ds])
                    fill(self._ground(view, base, house.d + np.array([0, 0, h * dd, h * dd])), dark)
            turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            for tree in trees:
                h = tree.height
                s = tree.s + 0.6 * h * ds + np.cos(turn) * 0.32 * h * (1 + 0.1 * np.cos(5 * turn))
                d = tree.d + 0.6 * h * dd + np.sin(turn) * 0.32 * h * (1 + 0.1 * np.sin(4 * turn))
                fill(self._ground(view, s, d), int(dark * 1.08))
                trunk = np.array(
                    [tree.s - 0.15, tree.s + 0.15, tree.s + 0.5 * h * ds + 0.1, tree.s + 0.5 * h * ds - 0.1]
                )
                fill(self._ground(view, trunk, tree.d + np.array([0, 0, 0.5 * h * dd, 0.5 * h * dd])), dark)
            for car in vehicles:
                half = SHAPES[car.shape].half_length
                s = car.s + np.array([-half, half, half + ds, half + ds, -half + ds, -half])
                sign = 1 if dd > 0 else -1
                d = car.d + np.array([-0.8, -0.8, -0.8, 0.8 + abs(dd), 0.8 + abs(dd), 0.8]) * sign
                fill(self._ground(view, s, d), dark)
        for car in vehicles:
            for grow, value in ((0.22, 190), (0.02, 110)):
                half, wide = SHAPES[car.shape].half_length + grow, SHAPES[car.shape].half_width + grow
                s = car.s + np.array([-half, half, half, -half])
                d = car.d + np.array([-wide, -wide, wide, wide])
                fill(self._ground(view, s, d), min(value, 255))
        return np.asarray(cv2.GaussianBlur(shade, (5, 5), 0), np.uint8)

    @staticmethod
    def _ground(view: View, s: Points, d: Points) -> Points:
        s = np.maximum(s, view.s + NEAR)
        return view.project(np.stack([s, d, np.zeros_like(s)], 1))[0]

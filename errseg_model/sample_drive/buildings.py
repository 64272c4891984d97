"""Houses: facade, gable, roof, chimney."""

from __future__ import annotations

import numpy as np

from errseg_model.sample_drive.canvas import Canvas
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.facades import facade, plain_wall, roof
from errseg_model.sample_drive.street import NEAR, View
from errseg_model.sample_drive.things import House
from errseg_model.sample_drive.weather import Light


def draw_house(canvas: Canvas, view: View, light: Light, house: House) -> None:
    """One house, far parts first."""
    start = max(house.s0, view.s + NEAR)
    if house.s1 <= start + 0.05:
        return
    side = 1 if house.d > 0 else -1
    h, top, back = house.height, house.height + house.ridge, house.d + side * house.depth
    middle = house.d + side * house.depth / 2
    s0, s1 = start, house.s1
    corners = view.project(
        np.array(
            [
                [s0, house.d, 0],
                [s0, house.d, h],
                [s1, house.d, h],
                [s1, house.d, 0],  # facade
                [s0, middle, top],
                [s1, middle, top],
                [s0, back, h],
                [s0, back, 0],  # ridge, back edge
            ],
            np.float64,
        )
    )[0]
    away = (s0 + s1) / 2 - view.s
    if start == house.s0 and house.open_end:
        box = corners[[1, 6, 7, 0]]
        wall = plain_wall(house.wall, round(house.depth), round(h))
        if house.ridge > 0:
            canvas.convex(corners[[1, 4, 6]], light.paint(house.wall, light.front, away, Label.BUILDING))
        canvas.textured(box, wall, light.lut(light.front, away))
    face = light.right if side > 0 else light.left
    if house.ridge > 0:
        slope = corners[[4, 5, 2, 1]]  # seen from the street only if it is steep or far
        a, b = slope[1] - slope[0], slope[2] - slope[1]
        turn = float(a[0] * b[1] - a[1] * b[0])
        if turn * side < 0:
            pitch = float(np.hypot(house.ridge, house.depth / 2))
            normal = (-side * house.ridge / pitch, house.depth / 2 / pitch, 0.0)
            canvas.textured(slope, roof(house.roof), light.lut(light.on(normal), away))
    crop = (start - house.s0) / (house.s1 - house.s0)
    quad = corners[[1, 2, 3, 0]]
    canvas.textured(quad, facade(house, light.weather.lamps), light.lut(face, away), crop=crop)
    if house.ridge > 0 and house.s0 > view.s + NEAR and house.style != "office":
        _chimney(canvas, view, light, house, side, middle, top)


def _chimney(canvas: Canvas, view: View, light: Light, house: House, side: int, middle: float, top: float) -> None:
    s, d = house.s0 + 0.1, middle - side * 0.4
    p = view.project(
        np.array(
            [
                [s, d, top - 0.6],
                [s, d, top + 1.0],
                [s, d + side * 0.8, top + 1.0],
                [s, d + side * 0.8, top - 0.4],
                [s + 0.7, d, top + 1.0],
                [s + 0.7, d, top - 0.6],
            ]
        )
    )[0]
    away = house.s0 - view.s
    face = light.right if side > 0 else light.left
    brick = (house.wall[0] * 0.85, house.wall[1] * 0.8, house.wall[2] * 0.78)
    canvas.convex(p[[0, 1, 2, 3]], light.paint(brick, light.front, away, Label.BUILDING))
    canvas.convex(p[[0, 1, 4, 5]], light.paint(brick, face, away, Label.BUILDING))

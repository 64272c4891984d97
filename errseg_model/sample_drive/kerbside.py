"""Trees, fences, hedges, walls, lamps, signs."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from errseg_model.sample_drive.camera import Points
from errseg_model.sample_drive.canvas import OPEN, SOLID, Canvas, Paint, Texture
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.facades import plain_wall
from errseg_model.sample_drive.foliage import Foliage
from errseg_model.sample_drive.noise import resized
from errseg_model.sample_drive.street import KERB, NEAR, View
from errseg_model.sample_drive.things import Barrier, Post, Tree
from errseg_model.sample_drive.weather import Light, Rgb

_STEEL: Rgb = (112, 116, 118)
_RED: Rgb = (196, 34, 38)
_WHITE: Rgb = (236, 236, 232)
_BLUE: Rgb = (34, 74, 158)
_BLACK: Rgb = (28, 28, 30)
_GREEN: Rgb = (24, 104, 70)


def draw_tree(canvas: Canvas, view: View, light: Light, foliage: Foliage, tree: Tree) -> None:
    """A tree as an upright picture that faces the camera."""
    foot, depth = view.project(np.array([[tree.s, tree.d, KERB]], np.float64))
    if depth[0] < 1.5:
        return
    tall = tree.height * view.camera.focal / float(depth[0])
    canvas.sprite(foot[0], tall, foliage.trees[tree.sprite], light.lut(light.round, float(depth[0])))


@lru_cache(maxsize=64)
def _fence(kind: str, colour: Rgb) -> Texture:
    """Three metres of railing (open between its bars) or of wooden boards (closed)."""
    h, w = 40, 108
    picture = np.empty((h, w, 4), np.uint8)
    picture[..., :3] = np.clip(colour, 0, 255)
    picture[..., 3] = Label.FENCE
    if kind == "wood":
        rng = np.random.default_rng(int(sum(colour)) & 0xFFFF)
        boards = resized(rng.normal(1, 0.09, (1, 27)).astype(np.float32), h, w, cv2.INTER_NEAREST)
        boards[:, ::4] *= 0.6
        boards *= np.linspace(1.06, 0.86, h, dtype=np.float32)[:, None]
        picture[..., :3] = np.clip(picture[..., :3] * boards[..., None], 0, 255)
        return Texture(picture, Label.FENCE)
    cover = picture[..., 3]
    cover[:] = OPEN
    cover[2:5] = cover[h - 7 : h - 4] = SOLID
    for x in range(0, w, 5):
        cover[2 : h - 4, x : x + 2] = SOLID
    for x in (0, w // 2, w - 3):
        cover[:, x : x + 3] = SOLID
    return Texture(picture, Label.FENCE, cutout=True)


def draw_barrier(canvas: Canvas, view: View, light: Light, foliage: Foliage, barrier: Barrier) -> None:
    start = max(barrier.s0, view.s + NEAR)
    if barrier.s1 <= start + 0.05:
        return
    side = 1 if barrier.d > 0 else -1
    thick = {"railing": 0.0, "wood": 0.0, "wall": 0.25, "hedge": 0.8}[barrier.kind]
    d, back, h = barrier.d, barrier.d + side * thick, barrier.height + KERB
    p = view.project(
        np.array(
            [
                [start, d, h],
                [barrier.s1, d, h],
                [barrier.s1, d, KERB],
                [start, d, KERB],
                [start, back, h],
                [barrier.s1, back, h],
                [start, back, KERB],
            ]
        )
    )[0]
    away = start - view.s
    face = light.right if side > 0 else light.left
    crop = (start - barrier.s0) / (barrier.s1 - barrier.s0)
    if barrier.kind in ("railing", "wood"):
        canvas.textured(p[:4], _fence(barrier.kind, barrier.colour), light.lut(face, away), crop=crop)
        return
    label = Label.TREE if barrier.kind == "hedge" else Label.BUILDING
    red, green, blue, _ = foliage.hedge.mean
    c = (float(red), float(green), float(blue)) if barrier.kind == "hedge" else barrier.colour
    top = light.paint((c[0] * 1.1, c[1] * 1.1, c[2] * 1.1), light.top, away, label)
    end = light.paint((c[0] * 0.9, c[1] * 0.9, c[2] * 0.9), light.front, away, label)
    if barrier.kind == "hedge":
        # the picture's upper edge is ragged: the faces behind stop short of it
        lower = 0.12 * (p[3] - p[0])
        canvas.convex(np.stack([p[0] + lower, p[4] + lower, p[6], p[3]]), end)
        canvas.textured(p[:4], foliage.hedge, light.lut(face, away), crop=crop)
        return
    canvas.convex(p[[0, 4, 6, 3]], end)
    canvas.textured(p[:4], plain_wall(c, 3, 1), light.lut(face, away), crop=crop)
    canvas.convex(p[[0, 1, 5, 4]], top)


def draw_post(canvas: Canvas, view: View, light: Light, post: Post) -> None:
    """A lamp, a sign on its pole, traffic lights or a bollard."""
    side = 1 if post.d > 0 else -1
    h = post.height
    p, depth = view.project(
        np.array(
            [
                [post.s, post.d, KERB],
                [post.s, post.d, h],
                [post.s, post.d - side * 1.3, h + 0.35],
                [post.s, post.d - side * 1.9, h + 0.33],
            ]
        )
    )
    z = float(depth[0])
    if z < 1.2 or not view.sees(p[0], 400):
        return
    metre = view.camera.focal / z
    steel = light.paint(_STEEL, light.round, z, Label.POLE)
    if post.kind == "lamp":
        canvas.line(p[0], p[0] + 0.25 * (p[1] - p[0]), 0.20 * metre, steel)
        canvas.line(p[0], p[1], 0.13 * metre, steel)
        canvas.line(p[1], p[2], 0.09 * metre, steel)
        glow: Rgb = (150, 152, 154) if not light.weather.lamps else (600, 480, 300)
        canvas.line(p[2], p[3], 0.15 * metre, light.paint(glow, light.round, z, Label.POLE))
        return
    if post.kind == "bollard":
        canvas.line(p[0], p[1], 0.16 * metre, light.paint(_BLACK, light.round, z, Label.POLE))
        return
    canvas.line(p[0], p[1], (0.08 if post.kind == "sign" else 0.13) * metre, steel)
    if post.kind == "lights":
        _traffic_lights(canvas, light, p[1], metre, z)
    else:
        _sign(canvas, light, p[1] + (0, 0.5 * post.size * metre), post.size * metre / 2, post.face, z)


def _traffic_lights(canvas: Canvas, light: Light, top: Points, metre: float, z: float) -> None:
    w, h = 0.17 * metre, 1.0 * metre
    box = np.array([[-w, -0.1 * h], [w, -0.1 * h], [w, 0.9 * h], [-w, 0.9 * h]]) + top
    canvas.convex(box, light.paint(_BLACK, light.round, z, Label.SIGN))
    for k, colour in enumerate(((70.0, 20.0, 18.0), (76.0, 56.0, 18.0), (60.0, 420.0, 180.0))):
        lamp = (1.0, 1.0, 1.0) if k == 2 else light.round
        canvas.disc(top + (0, (0.1 + 0.3 * k) * h), 0.10 * metre, light.paint(colour, lamp, z, Label.SIGN))


def _ring(centre: Points, radius: float, count: int, turn: float = 0.0) -> Points:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + turn
    ring: Points = np.stack([np.cos(angle), np.sin(angle)], 1, dtype=np.float64)
    ring *= radius
    ring += centre
    return ring


def _box(centre: Points, w: float, h: float) -> Points:
    box = np.array([[-w, -h], [w, -h], [w, h], [-w, h]], np.float64)
    box += centre
    return box


def _sign(canvas: Canvas, light: Light, at: Points, r: float, face: str, z: float) -> None:
    """A sign of half width `r` canvas pixels that faces the camera."""

    def paint(colour: Rgb) -> Paint:
        return light.paint(colour, light.front, z, Label.SIGN)

    if face == "limit":
        canvas.disc(at, r, paint(_RED))
        canvas.disc(at, r * 0.74, paint(_WHITE))
        for x in (-0.28, 0.28):
            canvas.path(_box(at + (x * r, 0), 0.16 * r, 0.3 * r), 0.12 * r, paint(_BLACK), closed=True)
    elif face == "warning":
        triangle = _ring(at, 1.15 * r, 3, -np.pi / 2)
        canvas.convex(triangle, paint(_RED))
        canvas.convex(at + (triangle - at) * 0.66, paint(_WHITE))
        canvas.convex(_box(at + (0, 0.05 * r), 0.07 * r, 0.3 * r), paint(_BLACK))
    elif face == "parking":
        canvas.convex(_box(at, 0.85 * r, 0.85 * r), paint(_BLUE))
        canvas.convex(_box(at + (-0.2 * r, 0), 0.1 * r, 0.5 * r), paint(_WHITE))
        canvas.disc(at + (0.05 * r, -0.2 * r), 0.3 * r, paint(_WHITE))
    elif face == "no_entry":
        canvas.disc(at, r, paint(_RED))
        canvas.convex(_box(at, 0.72 * r, 0.16 * r), paint(_WHITE))
    elif face == "keep":
        canvas.disc(at, r, paint(_BLUE))
        canvas.line(at + (0.35 * r, -0.4 * r), at + (-0.35 * r, 0.4 * r), 0.22 * r, paint(_WHITE))
    elif face == "direction":
        canvas.convex(_box(at, 1.7 * r, 0.95 * r), paint(_WHITE))
        canvas.convex(_box(at, 1.58 * r, 0.83 * r), paint(_GREEN))
        for y, w in ((-0.4, 1.1), (0.0, 0.8), (0.4, 1.2)):
            canvas.convex(_box(at + ((w - 1.3) * r * 0.6, y * r), w * r * 0.8, 0.12 * r), paint(_WHITE))
    else:
        canvas.disc(at, r, paint((124, 126, 126)))

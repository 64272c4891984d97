"""Pictures of trees, with and without leaves, and of hedges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from errseg_model.sample_drive.canvas import OPEN, SOLID, Image, Texture
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.noise import fractal
from errseg_model.sample_drive.weather import Rgb

SIZE = 384
_GREENS: tuple[Rgb, ...] = (
    (74, 98, 44),
    (88, 110, 52),
    (62, 88, 50),
    (104, 116, 56),
    (132, 118, 52),
    (70, 92, 40),
)
_BARK: Rgb = (82, 70, 58)


@dataclass(frozen=True)
class Foliage:
    """All the greenery of one drive: `trees` for `things.Tree.sprite`, and a tile for hedges."""

    trees: tuple[Texture, ...]
    hedge: Texture

    @classmethod
    def grow(cls, seed: int, leafy: int, bare: int) -> Foliage:
        rng = np.random.default_rng((seed, 15))
        trees = [_leafy(rng) for _ in range(leafy)] + [_bare(rng) for _ in range(bare)]
        return cls(tuple(trees), _hedge(rng))


def _branches(
    rng: np.random.Generator, picture: Image, solid: Image, depth: int, spread: float
) -> list[tuple[float, float]]:
    """Draw a trunk that forks `depth` times; returns the tips in pixels."""
    tips: list[tuple[float, float]] = []
    todo = [(SIZE / 2, float(SIZE - 1), -np.pi / 2 + rng.normal(0, 0.04), SIZE * 0.26, SIZE * 0.034, 0)]
    while todo:
        x, y, angle, length, width, level = todo.pop()
        x1, y1 = x + np.cos(angle) * length, y + np.sin(angle) * length
        tone = float(rng.uniform(0.75, 1.15))
        bark = tuple(float(c * tone) for c in _BARK)
        start, end = (round(x * 8), round(y * 8)), (round(x1 * 8), round(y1 * 8))
        cv2.line(picture, start, end, (*bark, 0), max(round(width), 1), cv2.LINE_8, 3)
        cv2.line(solid, start, end, (255,), max(round(width), 1), cv2.LINE_8, 3)
        if level == depth:
            tips.append((x1, y1))
            continue
        forks = 3 if level in (0, 2) else 2
        for k in range(forks):
            turn = spread * (k - (forks - 1) / 2) + rng.normal(0, 0.2)
            rise = angle + turn + 0.10 * (-np.pi / 2 - angle)
            todo.append((x1, y1, rise, length * float(rng.uniform(0.62, 0.86)), width * 0.62, level + 1))
    return tips


def _cutout(picture: Image, solid: Image, gap: int) -> Texture:
    """Gaps of up to `gap` pixels between leaves count as tree."""
    hull = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    picture[..., 3] = np.where(solid > 0, SOLID, np.where(hull > 0, OPEN, 0))
    return Texture(picture, Label.TREE, cutout=True)


def _leafy(rng: np.random.Generator) -> Texture:
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    solid = np.zeros((SIZE, SIZE), np.uint8)
    green = np.array(_GREENS[int(rng.integers(len(_GREENS)))]) * rng.uniform(0.8, 1.1)
    picture[..., :3] = green * 0.5
    _branches(rng, picture, solid, 2, 0.7)
    squat = float(rng.uniform(0.31, 0.40))
    count = int(rng.integers(46, 70))
    radius, angle = np.sqrt(rng.uniform(0, 1, count)), rng.uniform(0, 2 * np.pi, count)
    x = SIZE * (0.5 + np.cos(angle) * radius * squat)
    y = SIZE * (0.40 + np.sin(angle) * radius * 0.31)
    size = rng.uniform(0.045, 0.095, count) * SIZE
    order = np.argsort(radius + rng.normal(0, 0.2, count))[::-1]  # outer clumps first, inner ones in front of them
    rows, cols = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    body = np.zeros((SIZE, SIZE), np.float32)  # 1 in the middle of a clump, 0 at its edge
    shade = np.ones((SIZE, SIZE), np.float32)
    for i in order:
        box = (
            slice(max(int(y[i] - size[i]), 0), int(y[i] + size[i]) + 1),
            slice(max(int(x[i] - size[i]), 0), int(x[i] + size[i]) + 1),
        )
        dy, dx = (rows[box] - y[i]) / size[i], (cols[box] - x[i]) / size[i]
        near = 1 - np.sqrt(dx * dx + dy * dy)
        tone = 0.78 + 0.34 * (0.65 - y[i] / SIZE) + rng.normal(0, 0.06)
        inside = near > 0
        shade[box][inside] = (tone - 0.30 * dy - 0.07 * dx)[inside]
        body[box] = np.maximum(body[box], near)
    leaves = fractal(rng, SIZE, SIZE, 80, 2)
    crown = (body > 0) & (body + 0.16 * leaves > 0.17)
    hue = fractal(rng, SIZE, SIZE, 6, 3)
    tint = green + hue[..., None] * (7.0, 3.0, -2.0)
    colour = tint * (shade * np.clip(1 + 0.24 * fractal(rng, SIZE, SIZE, 110, 2), 0.35, 1.8))[..., None]
    picture[crown, :3] = np.clip(colour[crown], 0, 255)
    solid[crown] = 255
    return _cutout(picture, solid, 7)


def _bare(rng: np.random.Generator) -> Texture:
    """A winter tree: fine twigs; the crown counts as tree where twigs are dense."""
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    picture[..., :3] = (96, 86, 76)
    solid = np.zeros((SIZE, SIZE), np.uint8)
    tips = _branches(rng, picture, solid, 5, 0.62)
    for x, y in tips:
        for _ in range(5):
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(5, 17)
            end = (round(x + np.cos(angle) * length), round(y + np.sin(angle) * length))
            tone = float(rng.uniform(0.8, 1.3))
            cv2.line(picture, (round(x), round(y)), end, (92 * tone, 80 * tone, 70 * tone, 0), 1)
            cv2.line(solid, (round(x), round(y)), end, (255,), 1)
    return _cutout(picture, solid, 11)


def _hedge(rng: np.random.Generator) -> Texture:
    height, width = 96, 192
    green = np.array(_GREENS[int(rng.integers(len(_GREENS)))]) * 0.8
    field = fractal(rng, height, width, 40, 2)
    picture = np.empty((height, width, 4), np.uint8)
    ramp = np.linspace(1.15, 0.6, height, dtype=np.float32)[:, None]
    picture[..., :3] = np.clip(green * (np.clip(1 + 0.26 * field, 0.3, 2) * ramp)[..., None], 0, 255)
    solid = np.full((height, width), 255, np.uint8)
    edge = (4 + 3 * fractal(rng, 1, width, 24, 2)[0]).astype(int)
    for x, top in enumerate(edge):
        solid[: max(top, 0), x] = 0
    return _cutout(picture, solid, 1)

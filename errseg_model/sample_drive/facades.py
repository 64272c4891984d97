"""Pictures of house fronts, gables and roofs."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.canvas import Texture
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.noise import resized
from errseg_model.sample_drive.things import House
from errseg_model.sample_drive.weather import Rgb

PER_METRE = 26  # pixels
_SHOP_COLOURS: tuple[Rgb, ...] = (
    (34, 62, 50),
    (120, 26, 30),
    (28, 40, 78),
    (44, 42, 44),
    (196, 160, 60),
    (210, 206, 198),
    (60, 110, 130),
)
_DOOR_COLOURS: tuple[Rgb, ...] = (
    (30, 42, 66),
    (96, 24, 26),
    (26, 54, 40),
    (38, 36, 38),
    (208, 204, 196),
    (86, 58, 38),
)


def _wall(rng: np.random.Generator, h: int, w: int, colour: Rgb, bricks: bool) -> NDArray[np.float32]:
    """(h, w, 3) masonry: courses of bricks or rendering with stains."""
    wall = np.empty((h, w, 3), np.float32)
    wall[:] = colour
    if bricks:
        courses = rng.normal(1, 0.10, (max(h // 2, 1), max(w // 6, 1))).astype(np.float32)
        wall *= resized(courses, h, w, cv2.INTER_NEAREST)[..., None]
    else:
        wall *= rng.normal(1, 0.018, (h, w, 1)).astype(np.float32)
    stains = rng.normal(1, 0.06, (5, 5)).astype(np.float32)
    wall *= resized(stains, h, w, cv2.INTER_CUBIC)[..., None]
    foot = np.linspace(1.04, 0.86, h, dtype=np.float32) ** 1.5
    return wall * foot[:, None, None]


def _rect(picture: NDArray[np.float32], x0: float, y0: float, x1: float, y1: float, colour: Rgb) -> None:
    cv2.rectangle(picture, (round(x0), round(y0)), (round(x1) - 1, round(y1) - 1), colour, -1)


def _window(
    rng: np.random.Generator,
    picture: NDArray[np.float32],
    x: float,
    y: float,
    w: float,
    h: float,
    frame: Rgb,
    lit: float,
    bars: bool,
) -> None:
    """One window, in pixels: surround, glass that mirrors some sky, curtains, glazing bars, sill."""
    m = PER_METRE
    _rect(picture, x - 0.09 * m, y - 0.2 * m, x + w + 0.09 * m, y, tuple(np.array(frame) * 0.78))
    _rect(picture, x - 0.06 * m, y - 0.04 * m, x + w + 0.06 * m, y + h + 0.04 * m, frame)
    glass = np.array((44.0, 50.0, 58.0)) * rng.uniform(0.6, 1.5)
    rows, cols = (
        slice(round(y), max(round(y + h), round(y) + 1)),
        slice(round(x), max(round(x + w), round(x) + 1)),
    )
    pane = picture[rows, cols]
    if pane.size == 0:
        return
    if lit and rng.random() < 0.45 * lit:
        pane[:] = np.array((255.0, 206.0, 128.0)) * rng.uniform(1.2, 2.2)
    else:
        ramp = np.linspace(1.5, 0.7, pane.shape[0], dtype=np.float32)[:, None, None]
        pane[:] = glass * ramp
        if rng.random() < 0.5:
            side = round(pane.shape[1] * rng.uniform(0.12, 0.3))
            curtain = np.array((176.0, 170.0, 160.0)) * rng.uniform(0.5, 0.95)
            pane[:, :side] = curtain
            pane[:, pane.shape[1] - side :] = curtain
        elif rng.random() < 0.35:
            pane[: round(pane.shape[0] * rng.uniform(0.2, 0.5))] = np.array((190.0, 184.0, 170.0)) * rng.uniform(0.6, 1)
    if bars:
        _rect(picture, x + w / 2 - 1, y, x + w / 2 + 1, y + h, frame)
        _rect(picture, x, y + h / 2 - 1, x + w, y + h / 2 + 1, frame)
    _rect(
        picture,
        x - 0.12 * m,
        y + h + 0.02 * m,
        x + w + 0.12 * m,
        y + h + 0.12 * m,
        tuple(np.array(frame) * 0.9),
    )


def _shop(rng: np.random.Generator, picture: NDArray[np.float32], lit: float) -> float:
    """Ground floor with display windows, a fascia with lettering, maybe an awning; returns its height in metres."""
    h, w = picture.shape[:2]
    m = PER_METRE
    colour = _SHOP_COLOURS[int(rng.integers(len(_SHOP_COLOURS)))]
    top = h - 3.5 * m
    _rect(picture, 0, top, w, h, colour)
    glow = np.array((210.0, 190.0, 150.0)) * 1.4 if lit else np.array((64.0, 66.0, 68.0))
    x = 0.3 * m
    while x < w - 1.2 * m:
        wide = float(rng.uniform(1.2, 2.2)) * m
        x1 = min(x + wide, w - 0.3 * m)
        display = (glow * rng.uniform(0.7, 1.3)).tolist()
        _rect(picture, x, top + 1.0 * m, x1, h - 0.5 * m, (display[0], display[1], display[2]))
        for _ in range(7):
            px, py = rng.uniform(x, x1 - 4), rng.uniform(top + 1.4 * m, h - 0.9 * m)
            tint = ((rng.uniform(30, 170) + rng.uniform(-28, 28, 3)) * (1.2 if lit else 0.75)).tolist()
            _rect(
                picture,
                px,
                py,
                min(px + rng.uniform(4, 14), x1),
                min(py + rng.uniform(4, 16), h - 0.55 * m),
                (tint[0], tint[1], tint[2]),
            )
        _rect(picture, x, top + 1.0 * m, x1, top + 1.1 * m, (30, 30, 32))
        x = x1 + 0.18 * m
    light = sum(colour) < 330
    ink: Rgb = (232, 226, 206) if light else (40, 40, 44)
    x, end = w * float(rng.uniform(0.1, 0.3)), w * float(rng.uniform(0.65, 0.9))
    while x < end:
        letter = float(rng.uniform(0.16, 0.3)) * m
        if rng.random() < 0.85:
            _rect(picture, x, top + 0.36 * m, x + letter, top + 0.72 * m, ink)
            _rect(picture, x + letter * 0.35, top + 0.48 * m, x + letter * 0.7, top + 0.6 * m, colour)
        x += letter + 0.08 * m
    if rng.random() < 0.3:
        tint = _SHOP_COLOURS[int(rng.integers(len(_SHOP_COLOURS)))]
        for k in range(int(w / (0.4 * m)) + 1):
            _rect(
                picture,
                k * 0.4 * m,
                top + 0.9 * m,
                (k + 1) * 0.4 * m,
                top + 1.7 * m,
                tint if k % 2 else (222, 220, 212),
            )
    return 3.5


def _office(rng: np.random.Generator, picture: NDArray[np.float32], house: House, lit: float) -> None:
    """Bands or grids of glass."""
    h, w = picture.shape[:2]
    m = PER_METRE
    floor = (house.height - 0.8) * m / house.floors
    pitch = float(rng.uniform(1.4, 2.6)) * m
    tall = float(rng.uniform(0.5, 0.68))
    frame: Rgb = (70, 72, 76) if rng.random() < 0.6 else (206, 206, 204)
    for k in range(house.floors):
        y = h - (k + 1) * floor + (1 - tall) * floor * 0.5
        _rect(picture, 0, y + tall * floor + 2, w, y + tall * floor + 5, tuple(np.array(house.wall) * 0.72))
        for x in np.arange(0.12 * m, w - 0.5 * m, pitch):
            _window(
                rng,
                picture,
                float(x),
                y,
                min(pitch - 0.22 * m, w - 0.1 * m - float(x)),
                tall * floor,
                frame,
                lit,
                False,
            )


def _dwelling(rng: np.random.Generator, picture: NDArray[np.float32], house: House, lit: float) -> None:
    """Rows of windows, a door, maybe a shop below."""
    h, w = picture.shape[:2]
    m = PER_METRE
    frame: Rgb = (228, 226, 220) if rng.random() < 0.8 else (60, 54, 50)
    low = _shop(rng, picture, lit) if house.style == "shop" else 0.0
    floors = house.floors - (1 if low else 0)
    floor = (h - low * m - 0.35 * m) / max(floors, 1)
    bays = max(int((house.s1 - house.s0) / rng.uniform(2.1, 2.7)), 1)
    bay = w / bays
    wide, tall = float(rng.uniform(0.95, 1.35)) * m, float(rng.uniform(1.35, 1.7)) * m
    bars = bool(rng.random() < 0.7)
    door = int(rng.integers(bays))
    for k in range(floors):
        y = h - low * m - k * floor - floor * 0.5 - tall * 0.5
        for j in range(bays):
            x = (j + 0.5) * bay - wide / 2
            if k == 0 and not low and j == door:
                colour = _DOOR_COLOURS[int(rng.integers(len(_DOOR_COLOURS)))]
                _rect(picture, x - 0.1 * m, h - 2.5 * m, x + 1.1 * m, h, frame)
                _rect(picture, x, h - 2.1 * m, x + m, h, colour)
                _rect(picture, x, h - 2.42 * m, x + m, h - 2.16 * m, (70, 76, 84))
                continue
            shrink = 0.8 if k == floors - 1 and floors > 2 else 1.0
            _window(rng, picture, x, y, wide, tall * shrink, frame, lit, bars)
    _rect(picture, 0, 0, w, 0.16 * m, tuple(np.array(house.wall) * 0.62))
    _rect(picture, w - 0.16 * m, 0, w - 0.06 * m, h, (52, 52, 54))


@lru_cache(maxsize=128)
def facade(house: House, lit: float) -> Texture:
    """The front of a house; windows glow when `lit`."""
    rng = np.random.default_rng(house.seed)
    h, w = round(house.height * PER_METRE), round((house.s1 - house.s0) * PER_METRE)
    picture = _wall(rng, h, w, house.wall, house.style in ("brick", "shop") and min(house.wall) < 155)
    if house.style == "office":
        _office(rng, picture, house, lit)
    else:
        _dwelling(rng, picture, house, lit)
    return _texture(picture, Label.BUILDING)


@lru_cache(maxsize=64)
def plain_wall(colour: Rgb, width: int, height: int) -> Texture:
    """Masonry without openings, `width` by `height` metres, for gables and garden walls."""
    rng = np.random.default_rng(int(sum(colour) * 100) & 0xFFFF)
    size = (height * PER_METRE, width * PER_METRE)
    return _texture(_wall(rng, *size, colour, min(colour) < 155), Label.BUILDING)


@lru_cache(maxsize=64)
def roof(colour: Rgb) -> Texture:
    """Rows of slates or tiles."""
    rng = np.random.default_rng(int(sum(colour) * 100) & 0xFFFF)
    rows = rng.normal(1, 0.12, (24, 40)).astype(np.float32)
    picture = np.empty((96, 160, 3), np.float32)
    picture[:] = colour
    picture *= resized(rows, 96, 160, cv2.INTER_NEAREST)[..., None]
    picture[3::4] *= 0.8
    return _texture(picture, Label.BUILDING)


def _texture(picture: NDArray[np.float32], label: int) -> Texture:
    out = np.empty((*picture.shape[:2], 4), np.uint8)
    out[..., :3] = np.clip(picture, 0, 255)
    out[..., 3] = label
    return Texture(out, label)

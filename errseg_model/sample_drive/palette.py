"""Colours and looks to choose from."""

from __future__ import annotations

import numpy as np

from errseg_model.sample_drive.things import Walker
from errseg_model.sample_drive.weather import Rgb

BRICK: tuple[Rgb, ...] = (
    (142, 84, 62),
    (158, 98, 72),
    (176, 148, 106),
    (118, 74, 60),
    (166, 132, 98),
    (130, 100, 82),
)
RENDER: tuple[Rgb, ...] = (
    (222, 216, 204),
    (234, 230, 222),
    (206, 192, 164),
    (190, 200, 206),
    (214, 188, 170),
)
STONE: tuple[Rgb, ...] = ((172, 162, 142), (148, 142, 130), (186, 176, 156))
CONCRETE: tuple[Rgb, ...] = ((142, 142, 140), (168, 164, 156), (116, 110, 108), (150, 104, 80))
ROOF: tuple[Rgb, ...] = ((84, 82, 86), (104, 88, 80), (130, 82, 64), (74, 72, 74))
_CAR: tuple[tuple[Rgb, float], ...] = (
    ((182, 184, 188), 0.22),
    ((40, 42, 46), 0.2),
    ((228, 228, 226), 0.15),
    ((112, 116, 122), 0.12),
    ((36, 58, 112), 0.1),
    ((146, 26, 30), 0.1),
    ((70, 104, 150), 0.04),
    ((30, 74, 52), 0.04),
    ((176, 160, 128), 0.03),
)
_SHAPES = ("hatch", "saloon", "estate", "suv", "van")
SKIN: tuple[Rgb, ...] = ((226, 184, 154), (206, 160, 128), (150, 104, 76), (98, 66, 48))
HAIR: tuple[Rgb, ...] = ((44, 34, 28), (88, 62, 40), (24, 22, 22), (166, 130, 82), (150, 148, 146))
CLOTHES: tuple[Rgb, ...] = (
    (36, 38, 46),
    (58, 62, 76),
    (110, 30, 34),
    (198, 196, 190),
    (44, 72, 110),
    (84, 92, 62),
    (150, 126, 96),
    (92, 92, 96),
    (176, 74, 50),
    (230, 226, 222),
)
LEGS: tuple[Rgb, ...] = ((34, 36, 42), (48, 60, 88), (72, 70, 70), (96, 84, 66), (28, 28, 30))


def vehicle_look(rng: np.random.Generator, buses: float = 0.0) -> tuple[str, Rgb]:
    """Shape and colour of a car; `buses` is the share of buses."""
    if buses and rng.random() < buses:
        return "bus", ((176, 28, 30), (40, 92, 148), (216, 206, 178))[int(rng.integers(3))]
    shape = str(rng.choice(_SHAPES, p=(0.36, 0.22, 0.14, 0.16, 0.12)))
    colour = _CAR[int(rng.choice(len(_CAR), p=[p for _, p in _CAR]))][0]
    if shape == "van" and rng.random() < 0.6:
        colour = (226, 227, 226)
    return shape, colour


def pick(rng: np.random.Generator, options: tuple[Rgb, ...], spread: float = 7.0) -> Rgb:
    """One of the colours, a little lighter or darker."""
    base = options[int(rng.integers(len(options)))]
    shift = rng.normal(0, spread)
    return (base[0] + shift, base[1] + shift, base[2] + shift)


def make_walker(rng: np.random.Generator, s: float, d: float, heading: int, stride: float, swing: float) -> Walker:
    """Somebody with clothes of a random look."""
    return Walker(
        s,
        d,
        heading,
        stride,
        swing,
        float(rng.uniform(1.55, 1.88)),
        pick(rng, SKIN),
        pick(rng, HAIR),
        pick(rng, CLOTHES),
        pick(rng, LEGS),
        bool(rng.random() < 0.35),
    )

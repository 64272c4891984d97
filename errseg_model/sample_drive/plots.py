"""What stands behind the pavement of one side of the street: houses, gardens, parks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from errseg_model.sample_drive.palette import BRICK, CONCRETE, RENDER, ROOF, STONE, pick
from errseg_model.sample_drive.things import Barrier, House, Tree

LEAFY = 4  # tree sprites 0..3 have leaves, the others are bare
SPRITES = 7
KINDS = ("terrace", "shops", "villas", "offices", "park")
ODDS = (0.3, 0.19, 0.25, 0.09, 0.17)

_WIDTH = {"terrace": (4.8, 6.2), "shops": (5.5, 9.0), "villas": (7.0, 10.0), "offices": (14.0, 20.0)}
_LEAST = 3.5  # metres: what is left over is added to the last house


def choose_sprite(rng: np.random.Generator, bare: float) -> int:
    """A tree; `bare` is the share of those without leaves."""
    return int(rng.integers(LEAFY, SPRITES)) if rng.random() < bare else int(rng.integers(LEAFY))


@dataclass
class Plots:
    """Collects the things of one side. `back` is the distance of the pavement's back edge from the middle."""

    rng: np.random.Generator
    side: int
    back: float
    bare: float
    houses: list[House] = field(default_factory=list)
    barriers: list[Barrier] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)

    def fill(self, kind: str, a: float, b: float) -> None:
        """Build on the street from `a` to `b`."""
        if kind == "park":
            self._park(a, b)
            return
        rng = self.rng
        setback = {
            "terrace": float(rng.choice((0.0, 1.8, 2.2))),
            "shops": 0.0,
            "villas": float(rng.uniform(4, 6.5)),
            "offices": 0.6,
        }[kind]
        if setback > 1:
            fences = ("wall", "railing", "wood", "hedge")
            self._fence(a, b, str(rng.choice(fences, p=(0.24, 0.24, 0.32, 0.2))))
        d = self.side * (self.back + setback)
        model = self._house(kind, d)
        s = a
        while s < b - _LEAST:
            end = float(min(s + rng.uniform(*_WIDTH[kind]), b))
            end = b if b - end < _LEAST else end
            house = self._terraced(model) if kind == "terrace" else self._house(kind, d)
            closed = bool(self.houses) and _covers(self.houses[-1], house, s)
            self.houses.append(replace(house, s0=s, s1=end, open_end=not closed, seed=int(rng.integers(1 << 30))))
            s = end
            if kind == "villas":
                if rng.random() < 0.6:
                    self._plant(s + 1.5, setback + float(rng.uniform(-2, 4)), 4.5, 8.5)
                s += float(rng.uniform(2, 5))

    def _park(self, a: float, b: float) -> None:
        self._fence(a, b, str(self.rng.choice(("railing", "hedge", "wall"), p=(0.5, 0.25, 0.25))))
        for s in np.arange(a + 2, b, 5.5):
            for low, high, least, most in ((2.5, 5.0, 7.0, 12.0), (8.0, 14.0, 9.0, 14.0)):
                self._plant(float(s + self.rng.uniform(-2, 2)), float(self.rng.uniform(low, high)), least, most)

    def _plant(self, s: float, behind: float, least: float, most: float) -> None:
        height = float(self.rng.uniform(least, most))
        self.trees.append(Tree(s, self.side * (self.back + behind), height, choose_sprite(self.rng, self.bare)))

    def _terraced(self, model: House) -> House:
        """A house of a row: the same build, here and there painted."""
        if self.rng.random() < 0.75:
            return model
        return replace(model, wall=pick(self.rng, RENDER), style="render")

    def _house(self, kind: str, d: float) -> House:
        rng = self.rng
        roof = pick(rng, ROOF)
        if kind == "offices":
            floors = int(rng.integers(3, 5))
            wall = pick(rng, CONCRETE)
            return House(0, 0, d, 14.0, floors * 3.3 + 0.8, 0.0, floors, "office", wall, roof, True, 0)
        shop = kind == "shops"
        floors = int(rng.choice((2, 3, 4), p=(0.45, 0.45, 0.1) if shop else (0.8, 0.2, 0.0)))
        ridge = 0.0 if shop and rng.random() < 0.45 else float(rng.uniform(2.0, 3.6))
        material = rng.random()
        options = BRICK if kind == "terrace" or material < 0.45 else RENDER if material < 0.8 else STONE
        wall = pick(rng, options)
        style = "shop" if shop else "render" if min(wall) > 155 else "brick"
        height = floors * float(rng.uniform(2.75, 3.0)) + (0.8 if shop else 0.3)
        return House(0, 0, d, float(rng.uniform(8, 10)), height, ridge, floors, style, wall, roof, True, 0)

    def _fence(self, a: float, b: float, kind: str) -> None:
        colours = {
            "railing": ((42.0, 46.0, 46.0),),
            "wood": ((132, 100, 70), (110, 84, 62), (150, 128, 100)),
            "wall": BRICK,
            "hedge": ((58.0, 86.0, 42.0),),
        }
        colour = pick(self.rng, colours[kind], 0.0 if kind == "railing" else 7.0)
        height = {"railing": 1.15, "wood": 1.7, "wall": 1.0, "hedge": 1.5}[kind] * float(self.rng.uniform(0.85, 1.15))
        self.barriers += fence(
            self.rng, self.side * self.back, a, b, Barrier(0, 0, 0, height, kind, colour), gates=0.12
        )


def fence(rng: np.random.Generator, d: float, a: float, b: float, model: Barrier, gates: float) -> list[Barrier]:
    """A barrier like `model` from `a` to `b` in pieces of 3 m, a share `gates` of them left out."""
    pieces = []
    s = a
    while s < b - 0.5:
        end = min(s + 3.0, b)
        if rng.random() >= gates:
            pieces.append(replace(model, s0=s, s1=end, d=d))
        s = end
    return pieces


def _covers(neighbour: House, house: House, s: float) -> bool:
    """Whether the gable of a house that begins at `s` is hidden by the house before it."""
    return (
        neighbour.s1 == s
        and neighbour.d == house.d
        and neighbour.height >= house.height - 0.3
        and neighbour.height + neighbour.ridge >= house.height + house.ridge - 0.3
    )

"""What stands where: the street in blocks, each drawn up from the seed and its number alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from errseg_model.sample_drive.palette import make_walker, vehicle_look
from errseg_model.sample_drive.plots import KINDS, ODDS, Plots, choose_sprite, fence
from errseg_model.sample_drive.street import CrossSection
from errseg_model.sample_drive.things import Barrier, House, Post, Tree, Vehicle, Walker

BLOCK = 36.0  # metres of street in a block
DISTRICT = 3  # blocks of one character
SIGNS = ("limit", "warning", "parking", "no_entry", "direction", "keep", "back")

_RAIL = Barrier(0, 0, 0, 1.05, "railing", (128, 132, 134))  # steel, at the kerb


@dataclass(frozen=True)
class Block:
    """Everything that stands in one block. `gaps`: (side, s0, s1) where a side street leaves."""

    s0: float
    houses: tuple[House, ...]
    barriers: tuple[Barrier, ...]
    trees: tuple[Tree, ...]
    posts: tuple[Post, ...]
    parked: tuple[Vehicle, ...]
    walkers: tuple[Walker, ...]
    gaps: tuple[tuple[int, float, float], ...]
    yellow: tuple[bool, bool]  # lines at the left and the right kerb: no parking there


Pieces = list[tuple[float, float]]


def _free(pieces: Pieces, s: float, margin: float) -> bool:
    """Whether `s` lies on a piece of pavement, away from its ends."""
    return any(a + margin < s < b - margin for a, b in pieces)


class Scene:
    """The still part of a drive."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng((seed, 11))
        self.section = CrossSection.choose(rng)
        self.parking = float(rng.uniform(0.25, 0.7))  # how full the kerbs are
        self.green = float(rng.uniform(0.25, 0.8))  # how many trees
        self.bare = float(rng.choice((0.0, 0.25, 1.0), p=(0.45, 0.3, 0.25)))  # share of trees without leaves

    def block(self, number: int) -> Block:
        """Block `number` covers s from number * BLOCK to (number + 1) * BLOCK."""
        rng = np.random.default_rng((self.seed, 12, number & 0xFFFFFFFF))
        s0 = number * BLOCK
        plots: list[Plots] = []
        posts: list[Post] = []
        parked: list[Vehicle] = []
        walkers: list[Walker] = []
        gaps: list[tuple[int, float, float]] = []
        chances = [0.15 if self.section.parks(i) else 0.6 for i in range(2)]
        yellow = (bool(rng.random() < chances[0]), bool(rng.random() < chances[1]))
        for i, side in enumerate((-1, 1)):
            pieces: Pieces = [(s0, s0 + BLOCK)]
            if rng.random() < 0.16:
                start = s0 + float(rng.uniform(8, 18))
                gaps.append((side, start, start + 8.0))
                pieces = [(s0, start), (start + 8.0, s0 + BLOCK)]
            plot = Plots(rng, side, self.section.kerb[i] + self.section.pavement[i], self.bare)
            for a, b in pieces:
                plot.fill(self._district(number, i), a, b)
            self._kerbside(rng, i, s0, pieces, yellow[i], plot)
            posts += self._posts(rng, i, s0, pieces)
            walkers += self._idlers(rng, i, s0)
            if self.section.parks(i) and not yellow[i]:
                parked += self._parked(rng, i, s0, pieces)
            plots.append(plot)
        left, right = plots
        return Block(
            s0,
            tuple(left.houses + right.houses),
            tuple(left.barriers + right.barriers),
            tuple(left.trees + right.trees),
            tuple(posts),
            tuple(parked),
            tuple(walkers),
            tuple(gaps),
            yellow,
        )

    def _district(self, number: int, i: int) -> str:
        rng = np.random.default_rng((self.seed, 13, (number // DISTRICT) & 0xFFFFFFFF, i))
        return str(rng.choice(KINDS, p=ODDS))

    def _kerbside(self, rng: np.random.Generator, i: int, s0: float, pieces: Pieces, yellow: bool, plot: Plots) -> None:
        """Steel railings at kerbs without parking, and street trees."""
        side, edge = (-1, 1)[i], self.section.kerb[i]
        if yellow and rng.random() < 0.4:
            a, b = pieces[0]
            plot.barriers += fence(rng, side * (edge + 0.22), max(a, b - 12), b, _RAIL, gates=0.0)
        if rng.random() < self.green:
            for s in np.arange(s0 + 12, s0 + BLOCK, float(rng.uniform(9, 16))):
                if _free(pieces, float(s), 1.5):
                    height = float(rng.uniform(5.5, 9))
                    plot.trees.append(Tree(float(s), side * (edge + 0.75), height, choose_sprite(rng, self.bare)))

    def _posts(self, rng: np.random.Generator, i: int, s0: float, pieces: Pieces) -> list[Post]:
        """Lamps, signs, traffic lights where a side street joins, bollards."""
        side = (-1, 1)[i]
        kerb = side * (self.section.kerb[i] + 0.4)
        posts = []
        lamp = s0 + (6.0 if side < 0 else 24.0)
        if _free(pieces, lamp, 1.0):
            posts.append(Post(lamp, kerb, float(rng.uniform(6.2, 7.6)), "lamp"))
        for _ in range(2):
            s = s0 + float(rng.uniform(1, BLOCK - 1))
            if rng.random() < 0.6 and _free(pieces, s, 1.0):
                posts.append(
                    Post(
                        s,
                        kerb,
                        float(rng.uniform(2.3, 3.0)),
                        "sign",
                        str(rng.choice(SIGNS)),
                        float(rng.uniform(0.55, 0.85)),
                    )
                )
        if len(pieces) == 2:
            posts.append(Post(pieces[0][1] - 1.5, kerb, 3.0, "lights"))
            posts.append(Post(pieces[1][0] + 1.2, kerb, 2.6, "sign", "no_entry", 0.7))
            posts += [Post(pieces[1][0] + 2.5 + 1.5 * k, kerb, 1.05, "bollard") for k in range(4)]
        return posts

    def _parked(self, rng: np.random.Generator, i: int, s0: float, pieces: Pieces) -> list[Vehicle]:
        """Cars at the kerb, most of them in the direction of traffic."""
        side = (-1, 1)[i]
        cars = []
        for s in np.arange(s0 + 2.5, s0 + BLOCK - 2, 5.7):
            if rng.random() < self.parking and _free(pieces, float(s), 3.5):
                shape, colour = vehicle_look(rng)
                d = side * (self.section.kerb[i] - 1.1 + float(rng.uniform(-0.1, 0.1)))
                heading = -side if rng.random() < 0.85 else side
                cars.append(Vehicle(float(s) + float(rng.uniform(-0.4, 0.4)), d, heading, shape, colour))
        return cars

    def _idlers(self, rng: np.random.Generator, i: int, s0: float) -> list[Walker]:
        """People who stand about."""
        people = []
        for _ in range(int(rng.poisson(0.7))):
            s = s0 + float(rng.uniform(0, BLOCK))
            d = (-1, 1)[i] * (self.section.kerb[i] + float(rng.uniform(1.0, self.section.pavement[i] - 0.3)))
            people.append(make_walker(rng, s, d, int(rng.choice((-1, 1))), 0.0, 0.0))
        return people

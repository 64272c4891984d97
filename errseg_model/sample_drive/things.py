"""What can stand or move in the street. Lengths in metres; s runs along the street, d to the right of its middle."""

from __future__ import annotations

from dataclasses import dataclass

from errseg_model.sample_drive.weather import Rgb


@dataclass(frozen=True)
class House:
    s0: float
    s1: float
    d: float  # the facade; its sign tells the side of the street
    depth: float
    height: float  # up to the eaves
    ridge: float  # of the roof above the eaves, 0 for a flat roof
    floors: int
    style: str  # "brick", "render", "shop", "office"
    wall: Rgb
    roof: Rgb
    open_end: bool  # the gable at s0 can be seen past the neighbour
    seed: int


@dataclass(frozen=True)
class Barrier:
    """Something long and low: "railing", "wood" (fences), "wall", "hedge"."""

    s0: float
    s1: float
    d: float
    height: float
    kind: str
    colour: Rgb


@dataclass(frozen=True)
class Tree:
    s: float
    d: float
    height: float
    sprite: int


@dataclass(frozen=True)
class Post:
    """Something thin and upright: "lamp", "sign", "lights" (traffic lights), "bollard"."""

    s: float
    d: float
    height: float
    kind: str
    face: str = ""  # which sign
    size: float = 0.6


@dataclass(frozen=True)
class Vehicle:
    s: float
    d: float
    heading: int  # 1: seen from behind, -1: comes towards the camera
    shape: str
    colour: Rgb
    braking: bool = False
    moving: bool = False


@dataclass(frozen=True)
class Walker:
    s: float
    d: float
    heading: int
    stride: float  # phase of the steps, radians
    swing: float  # 0 for somebody who stands
    height: float
    skin: Rgb
    hair: Rgb
    top: Rgb
    legs: Rgb
    bag: bool


@dataclass(frozen=True)
class Cyclist:
    s: float
    d: float
    heading: int
    stride: float
    height: float
    skin: Rgb
    top: Rgb
    legs: Rgb
    helmet: Rgb
    frame: Rgb

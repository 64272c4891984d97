"""The painters of upright things: each draws its own class, and larger when it is nearer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from errseg_model.sample_drive.buildings import draw_house
from errseg_model.sample_drive.camera import Camera, Intrinsics, Pose
from errseg_model.sample_drive.canvas import Canvas
from errseg_model.sample_drive.car_meshes import SHAPES
from errseg_model.sample_drive.cars import CarPainter
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.foliage import Foliage
from errseg_model.sample_drive.kerbside import draw_barrier, draw_post, draw_tree
from errseg_model.sample_drive.people import draw_cyclist, draw_walker
from errseg_model.sample_drive.street import Street, View
from errseg_model.sample_drive.things import Barrier, Cyclist, House, Post, Tree, Vehicle, Walker
from errseg_model.sample_drive.weather import Light, choose_weather

EMPTY = 99
LIGHT = Light(choose_weather(np.random.default_rng(0)))
FOLIAGE = Foliage.grow(0, 1, 1)
GREY = (120.0, 120.0, 120.0)

Draw = Callable[[Canvas, View, float], None]


def look(draw: Draw, distance: float) -> np.ndarray:
    """Ids (360, 640) of one thing at a distance before an empty background, on a straight street."""
    intrinsics = Intrinsics.for_size(360, 640)
    camera = Camera(intrinsics, Pose(0.0, 1.4, 0.0, 0.0, intrinsics.level_pitch), 2)
    view = View(Street(((0.0, 0.01, 0.0), (0.0, 0.02, 0.0))), camera)
    canvas = Canvas(360, 640, 2)
    canvas.pixels[..., 3] = EMPTY
    draw(canvas, view, distance)
    return canvas.reduce()[1]


def car(shape: str, heading: int) -> Draw:
    return lambda canvas, view, s: CarPainter(LIGHT).draw(canvas, view, Vehicle(s, 1.5, heading, shape, GREY))


def post(kind: str, face: str = "") -> Draw:
    return lambda canvas, view, s: draw_post(canvas, view, LIGHT, Post(s, 3.0, 3.0, kind, face))


def tree(sprite: int) -> Draw:
    return lambda canvas, view, s: draw_tree(canvas, view, LIGHT, FOLIAGE, Tree(s, 4.0, 4.0, sprite))


def barrier(kind: str) -> Draw:
    return lambda canvas, view, s: draw_barrier(canvas, view, LIGHT, FOLIAGE, Barrier(s, s + 3.0, 4.0, 1.2, kind, GREY))


def house(ridge: float, style: str) -> Draw:
    return lambda canvas, view, s: draw_house(
        canvas, view, LIGHT, House(s, s + 5.0, -6.0, 8.0, 4.0, ridge, 2, style, GREY, GREY, True, 1)
    )


def walker(heading: int) -> Draw:
    who = (1.0, 1.0, 1.75, GREY, GREY, GREY, GREY, True)
    return lambda canvas, view, s: draw_walker(canvas, view, LIGHT, Walker(s, 3.0, heading, *who))


def cyclist(heading: int) -> Draw:
    who = (1.0, 1.75, GREY, GREY, GREY, GREY, GREY)
    return lambda canvas, view, s: draw_cyclist(canvas, view, LIGHT, Cyclist(s, 1.5, heading, *who))


THINGS: dict[str, tuple[Draw, set[Label]]] = {
    **{f"{shape}, heading {way}": (car(shape, way), {Label.CAR}) for shape in SHAPES for way in (1, -1)},
    "leafy tree": (tree(0), {Label.TREE}),
    "bare tree": (tree(1), {Label.TREE}),
    "lamp": (post("lamp"), {Label.POLE}),
    "bollard": (post("bollard"), {Label.POLE}),
    "traffic lights": (post("lights"), {Label.POLE, Label.SIGN}),
    **{
        f"sign {face}": (post("sign", face), {Label.POLE, Label.SIGN})
        for face in ("limit", "warning", "parking", "no_entry", "direction", "keep", "back")
    },
    "railing": (barrier("railing"), {Label.FENCE}),
    "wooden fence": (barrier("wood"), {Label.FENCE}),
    "wall": (barrier("wall"), {Label.BUILDING}),
    "hedge": (barrier("hedge"), {Label.TREE}),
    "house": (house(2.5, "brick"), {Label.BUILDING}),
    "flat roof": (house(0.0, "office"), {Label.BUILDING}),
    "shop": (house(2.5, "shop"), {Label.BUILDING}),
    "walker": (walker(1), {Label.PEDESTRIAN}),
    "walker ahead": (walker(-1), {Label.PEDESTRIAN}),
    "cyclist": (cyclist(1), {Label.BICYCLIST}),
    "cyclist ahead": (cyclist(-1), {Label.BICYCLIST}),
}


@pytest.mark.parametrize("name", THINGS)
def test_a_thing_has_its_class_and_grows_as_it_comes_nearer(name: str) -> None:
    draw, expected = THINGS[name]
    areas = []
    for distance in (60.0, 36.0, 24.0):
        labels = look(draw, distance)
        assert {Label(v) for v in np.unique(labels) if v != EMPTY} == expected
        areas.append(int((labels != EMPTY).sum()))
    assert areas[0] > 0 and areas[1] > 1.2 * areas[0] and areas[2] > 1.2 * areas[1]


@pytest.mark.parametrize("name", THINGS)
def test_nothing_is_drawn_of_what_lies_behind(name: str) -> None:
    assert (look(THINGS[name][0], -14.0) == EMPTY).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_car_stands_on_the_ground_and_is_as_tall_as_it_should_be(shape: str) -> None:
    distance, intrinsics = 20.0, Intrinsics.for_size(360, 640)
    rows = np.flatnonzero((look(car(shape, 1), distance) == Label.CAR).any(1))
    near = distance - SHAPES[shape].half_length
    tall = max(y for _, y, _ in (*SHAPES[shape].tail, *SHAPES[shape].nose))
    assert rows[-1] - rows[0] == pytest.approx(intrinsics.fy * tall / near, rel=0.12)


def test_a_car_that_passes_fills_the_side_without_holes() -> None:
    """Partly behind the camera: what is left is clipped, not folded."""
    labels = look(lambda canvas, view, s: CarPainter(LIGHT).draw(canvas, view, Vehicle(s, 2.3, 1, "van", GREY)), 3.0)
    right = labels[200:240, -12:]
    assert (right == Label.CAR).all()
    assert (labels[:, :400] == EMPTY).all()

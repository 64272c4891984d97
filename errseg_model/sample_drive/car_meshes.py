"""Shapes of cars, vans and buses: meshes with flat faces, built once per shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.camera import Points

# Side outline as (z, y) with the front at positive z: the tail from the ground to the roof, then the nose from the
# roof to the ground. "glass" marks where a pane begins.
Outline: TypeAlias = tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class Shape:
    tail: Outline
    nose: Outline
    half_width: float
    half_roof: float
    wheel: float  # radius
    axle: float  # distance of the wheels from the middle
    pillars: tuple[float, ...]  # where side windows end, as shares of their length

    @property
    def half_length(self) -> float:
        return (self.nose[-2][0] - self.tail[1][0]) / 2


SHAPES: dict[str, Shape] = {
    "hatch": Shape(
        ((-1.93, 0.26, "body"), (-2.0, 0.55, "body"), (-1.9, 0.95, "glass"), (-1.6, 1.40, "body")),
        (
            (0.15, 1.45, "glass"),
            (0.98, 0.99, "body"),
            (1.78, 0.78, "body"),
            (1.96, 0.52, "body"),
            (1.92, 0.24, "body"),
        ),
        0.86,
        0.60,
        0.31,
        1.24,
        (0.38, 0.86),
    ),
    "saloon": Shape(
        (
            (-2.2, 0.26, "body"),
            (-2.28, 0.58, "body"),
            (-2.2, 0.94, "body"),
            (-1.6, 0.99, "glass"),
            (-1.0, 1.36, "body"),
        ),
        (
            (0.2, 1.40, "glass"),
            (1.05, 0.96, "body"),
            (2.0, 0.78, "body"),
            (2.22, 0.50, "body"),
            (2.18, 0.24, "body"),
        ),
        0.88,
        0.60,
        0.31,
        1.34,
        (0.44, 0.86),
    ),
    "estate": Shape(
        ((-2.24, 0.26, "body"), (-2.3, 0.58, "body"), (-2.24, 0.96, "glass"), (-1.95, 1.42, "body")),
        (
            (0.2, 1.45, "glass"),
            (1.05, 0.98, "body"),
            (2.0, 0.80, "body"),
            (2.22, 0.52, "body"),
            (2.18, 0.24, "body"),
        ),
        0.88,
        0.63,
        0.32,
        1.34,
        (0.32, 0.62, 0.9),
    ),
    "suv": Shape(
        ((-2.1, 0.36, "body"), (-2.2, 0.68, "body"), (-2.12, 1.14, "glass"), (-1.9, 1.70, "body")),
        (
            (0.15, 1.74, "glass"),
            (0.85, 1.18, "body"),
            (1.9, 1.02, "body"),
            (2.1, 0.68, "body"),
            (2.06, 0.32, "body"),
        ),
        0.92,
        0.72,
        0.37,
        1.30,
        (0.33, 0.64, 0.9),
    ),
    "van": Shape(
        ((-2.5, 0.34, "body"), (-2.55, 1.05, "glass"), (-2.52, 1.62, "body"), (-2.46, 2.0, "body")),
        (
            (0.95, 2.0, "glass"),
            (1.75, 1.18, "body"),
            (2.35, 0.98, "body"),
            (2.5, 0.6, "body"),
            (2.46, 0.32, "body"),
        ),
        0.96,
        0.84,
        0.34,
        1.55,
        (0.0, 0.66, 0.88),
    ),
    "bus": Shape(
        ((-4.6, 0.38, "body"), (-4.62, 1.45, "glass"), (-4.55, 2.45, "body"), (-4.45, 2.95, "body")),
        ((4.45, 2.95, "body"), (4.55, 2.6, "glass"), (4.62, 1.2, "body"), (4.6, 0.36, "body")),
        1.24,
        1.20,
        0.47,
        2.7,
        (0.14, 0.28, 0.42, 0.56, 0.70, 0.84, 0.97),
    ),
}


@dataclass(frozen=True)
class Mesh:
    """Faces in the order of drawing for one heading. `fine` faces are left out when the car is small."""

    vertices: Points  # (N, 3): x right, y up, z forward
    faces: tuple[NDArray[np.intp], ...]
    materials: tuple[str, ...]
    fine: tuple[bool, ...]
    normals: Points  # (F, 3), outward
    anchors: Points  # (F, 3), a point of each face


class _Builder:
    def __init__(self) -> None:
        self.vertices: list[tuple[float, float, float]] = []
        self.faces: list[tuple[list[int], str, bool, tuple[float, float, float]]] = []

    def face(
        self,
        points: list[tuple[float, float, float]],
        material: str,
        out: tuple[float, float, float],
        fine: bool = False,
    ) -> None:
        start = len(self.vertices)
        self.vertices += points
        self.faces.append((list(range(start, len(self.vertices))), material, fine, out))

    def mesh(self) -> Mesh:
        vertices = np.array(self.vertices, np.float64)
        normals = []
        for index, _, _, out in self.faces:
            ring = vertices[index] - vertices[index[0]]
            normal = np.cross(ring[:-1], ring[1:]).sum(0)  # area vector: holds for faces that are not quite flat
            normal /= np.linalg.norm(normal) + 1e-9
            normals.append(normal if normal @ np.array(out) > 0 else -normal)
        return Mesh(
            vertices,
            tuple(np.array(f[0]) for f in self.faces),
            tuple(f[1] for f in self.faces),
            tuple(f[2] for f in self.faces),
            np.array(normals),
            vertices[[f[0][0] for f in self.faces]],
        )


def _lerp(a: tuple[float, float], b: tuple[float, float], t: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t


def _side(build: _Builder, shape: Shape, side: int) -> None:
    """Lower body, cabin with windows, wheels of one side."""
    w, r = side * shape.half_width, side * shape.half_roof
    tail, nose = shape.tail, shape.nose
    belt_tail = max(i for i, p in enumerate(tail) if p[2] == "glass")
    belt_nose = min(i for i, p in enumerate(nose) if p[2] == "glass") + 1
    out = (float(side), 0.0, 0.0)
    low = [(w, y, z) for z, y, _ in tail[: belt_tail + 1]] + [(w, y, z) for z, y, _ in nose[belt_nose:]]
    build.face(low, "body", out)
    bottom = nose[-1][1]
    build.face(
        [
            (w * 1.002, bottom, tail[0][0]),
            (w * 1.002, bottom + 0.16, tail[0][0] - 0.02),
            (w * 1.002, bottom + 0.16, nose[-1][0] + 0.02),
            (w * 1.002, bottom, nose[-1][0]),
        ],
        "sill",
        out,
        True,
    )
    tail_low, nose_low = tail[belt_tail][:2], nose[belt_nose][:2]
    roof_tail, roof_nose = tail[-1][:2], nose[0][:2]
    top = [(r, y, z) for z, y, _ in tail[belt_tail + 1 :]] + [(r, y, z) for z, y, _ in nose[:belt_nose]]
    build.face([(w, tail_low[1], tail_low[0]), *top, (w, nose_low[1], nose_low[0])], "body", (side, 0.3, 0.0))
    edges = (0.06, *shape.pillars)
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        if b - a < 0.05 or (shape.pillars[0] == 0.0 and a < 0.5):
            continue
        pane = []
        for t, height in ((a + 0.02, 0.1), (a + 0.02, 0.86), (b - 0.02, 0.86), (b - 0.02, 0.1)):
            z_low, y_low = _lerp(tail_low, nose_low, t)
            z_top, y_top = _lerp(roof_tail, roof_nose, t)
            x = w + (r - w) * height
            pane.append((x * 1.004, y_low + (y_top - y_low) * height, z_low + (z_top - z_low) * height))
        build.face(pane, "glass", (side, 0.3, 0.0))
    for axle in (-shape.axle, shape.axle):
        for radius, material, count, push in (
            (1.16, "arch", 12, 1.004),
            (1.0, "tyre", 12, 1.008),
            (0.62, "rim", 8, 1.012),
        ):
            angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
            centre = shape.wheel
            build.face(
                [
                    (
                        w * push,
                        centre + shape.wheel * radius * float(np.sin(t)) + (0.04 if material == "arch" else 0),
                        axle + shape.wheel * radius * float(np.cos(t)),
                    )
                    for t in angle
                ],
                material,
                out,
                material == "rim",
            )


def _end(build: _Builder, shape: Shape, outline: Outline, sign: int) -> None:
    """Panels of tail or nose, roof side first, then lamps and number plate."""
    panels = []
    for (z0, y0, material), (z1, y1, _) in zip(outline[:-1], outline[1:], strict=True):
        panels.append((z0, y0, z1, y1, material))
    roof_y = max(shape.tail[-1][1], shape.nose[0][1])
    belt = 0.62 * roof_y if roof_y > 2.5 else 0.72 * roof_y

    def half(y: float) -> float:
        if y <= belt:
            return shape.half_width
        return shape.half_width + (shape.half_roof - shape.half_width) * min((y - belt) / (roof_y - belt), 1.0)

    ordered = panels[::-1] if sign < 0 else panels
    for z0, y0, z1, y1, material in ordered:
        a, b = half(y0), half(y1)
        corners = [(-a, y0, z0), (a, y0, z0), (b, y1, z1), (-b, y1, z1)]
        out = (0.0, 0.5, float(sign))
        build.face(corners, "body", out)
        if material == "glass":
            cx = [
                (x * 0.9, y0 + (y1 - y0) * t, z0 + (z1 - z0) * t)
                for (x, _, _), t in zip(corners, (0.1, 0.1, 0.9, 0.9), strict=True)
            ]
            build.face(cx, "glass", out)
    profile = sorted((p[1], p[0]) for p in outline)
    heights, depths = [p[0] for p in profile], [p[1] for p in profile]
    low = min(p[1] for p in outline)
    hood = belt if sign < 0 else next(p[1] for p in outline if p[2] == "body" and p[1] < belt)
    out = (0.0, 0.0, float(sign))
    w = shape.half_width

    def plate(x0: float, x1: float, y0: float, y1: float, material: str) -> None:
        z0, z1 = (float(np.interp(y, heights, depths)) + 0.015 * sign for y in (y0, y1))
        build.face([(x0, y0, z0), (x1, y0, z0), (x1, y1, z1), (x0, y1, z1)], material, out, True)

    plate(-w * 0.98, w * 0.98, low, low + 0.17, "sill")
    lamp = "tail" if sign < 0 else "lamp"
    y1 = hood - 0.06 if sign < 0 else hood - 0.05
    y0 = max(y1 - (0.30 if sign < 0 else 0.17), low + 0.2)
    plate(-w * 0.97, -w * 0.70, y0, y1, lamp)
    plate(w * 0.70, w * 0.97, y0, y1, lamp)
    if sign > 0:
        plate(-w * 0.5, w * 0.5, y0 - 0.07, y0 + 0.04, "grille")
    mid = low + (0.30 if sign < 0 else 0.2)
    plate(-0.27, 0.27, mid, mid + 0.12, "plate_rear" if sign < 0 else "plate_front")


@lru_cache(maxsize=32)
def mesh(name: str, heading: int) -> Mesh:
    """The shape `name` with faces ordered for a camera behind it (heading 1) or in front of it (-1)."""
    shape = SHAPES[name]
    build = _Builder()
    w, r = shape.half_width, shape.wheel
    for axle in (shape.axle * heading, -shape.axle * heading):
        for side in (-1, 1):
            x0, x1, z = side * w * 0.72, side * w * 0.98, axle - heading * r
            build.face([(x0, 0.0, z), (x1, 0.0, z), (x1, r + 0.1, z), (x0, r + 0.1, z)], "tyre", (0, 0, -heading))
    low, front = shape.nose[-1][1] + 0.03, heading
    z = -front * shape.axle * 0.9
    build.face(
        [
            (-w * 0.9, low * 0.62, z),
            (w * 0.9, low * 0.62, z),
            (w * 0.9, low + 0.2, z),
            (-w * 0.9, low + 0.2, z),
        ],
        "arch",
        (0, 0, -heading),
    )
    ends = (shape.nose, shape.tail) if heading > 0 else (shape.tail, shape.nose)
    _end(build, shape, ends[0], heading)
    for side in (-1, 1):
        _side(build, shape, side)
    (tz, ty, _), (nz, ny, _) = shape.tail[-1], shape.nose[0]
    q = shape.half_roof
    build.face([(-q, ty, tz), (q, ty, tz), (q, ny, nz), (-q, ny, nz)], "body", (0.0, 1.0, 0.0))
    _end(build, shape, ends[1], -heading)
    return build.mesh()

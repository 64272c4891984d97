"""Painter of cars, vans and buses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from errseg_model.sample_drive.camera import NEAREST
from errseg_model.sample_drive.canvas import Canvas
from errseg_model.sample_drive.car_meshes import mesh
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.street import View, clip_near
from errseg_model.sample_drive.things import Vehicle
from errseg_model.sample_drive.weather import Light, Rgb

_FIXED: dict[str, Rgb] = {
    "tyre": (30, 30, 32),
    "arch": (20, 20, 22),
    "rim": (138, 140, 144),
    "grille": (34, 34, 36),
    "plate_rear": (222, 186, 56),
    "plate_front": (228, 228, 222),
}


class CarPainter:
    """Draws vehicles under one light."""

    def __init__(self, light: Light) -> None:
        self.light = light
        self._lights = lru_cache(maxsize=32)(self._face_lights)

    def _face_lights(self, name: str, heading: int) -> list[Rgb]:
        shape = mesh(name, heading)
        return [self.light.on((float(n[0]) * heading, float(n[1]), float(n[2]) * heading)) for n in shape.normals]

    def draw(self, canvas: Canvas, view: View, car: Vehicle) -> None:
        shape = mesh(car.shape, car.heading)
        slope = view.street.slope(car.s)
        local = shape.vertices * (car.heading, 1, car.heading)
        places = np.stack([car.s + local[:, 2], car.d + local[:, 0], local[:, 1]], 1)
        points, depth = view.project(places)
        z = float(depth.mean())
        if float(depth.max()) < 1.2 or points[:, 0].max() < 0 or points[:, 0].min() > canvas.width:
            return
        eye = np.array(
            [
                (view.camera.pose.x - float(view.street.middle(np.array(car.s))) - car.d - slope * (view.s - car.s))
                * car.heading,
                view.camera.pose.height,
                (view.s - car.s) * car.heading,
            ]
        )
        visible = ((eye - shape.anchors) * shape.normals).sum(1) > 0
        small = view.camera.focal / max(z, 1.0) < 14.0
        lights = self._lights(car.shape, car.heading)
        for i, index in enumerate(shape.faces):
            if not visible[i] or (small and shape.fine[i]):
                continue
            colour, light = self._material(shape.materials[i], car, lights[i], float(shape.normals[i, 1]))
            outline = points[index]
            if float(depth[index].min()) < NEAREST:  # partly behind the camera
                kept = clip_near(places[index], depth[index])
                if len(kept) < 3:
                    continue
                outline = view.project(kept)[0]
            canvas.polygon(outline, self.light.paint(colour, light, z, Label.CAR))

    def _material(self, name: str, car: Vehicle, light: Rgb, up: float) -> tuple[Rgb, Rgb]:
        if name == "body":
            return car.colour, light
        if name == "sill":
            return (car.colour[0] * 0.62, car.colour[1] * 0.62, car.colour[2] * 0.62), light
        if name == "glass":
            sky = self.light.weather.zenith
            share = 0.08 + 0.22 * max(up, 0.0)
            return (26 + share * sky[0], 30 + share * sky[1], 34 + share * sky[2]), (0.9, 0.9, 0.9)
        lit = self.light.weather.lamps > 0 and car.moving
        if name == "tail":
            return ((150, 22, 22), light) if not (lit or car.braking) else ((255, 50, 40), (1.0, 1.0, 1.0))
        if name == "lamp":
            return ((206, 210, 214), light) if not lit else ((255, 250, 226), (1.0, 1.0, 1.0))
        return _FIXED[name], light

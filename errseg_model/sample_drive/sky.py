"""The far background: sky, clouds, and what closes the view at the horizon."""

from __future__ import annotations

import cv2
import numpy as np

from errseg_model.sample_drive.camera import HORIZON, Camera
from errseg_model.sample_drive.canvas import Canvas, Image
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.noise import fractal
from errseg_model.sample_drive.weather import Light

_TURN = 0.32  # radians of yaw that the picture reaches beyond the image on each side
_SPARE = 0.08  # share of the height kept above the image for pitch


class Backdrop:
    """A panorama that is shifted with yaw and pitch; its last row is the horizon."""

    def __init__(self, seed: int, light: Light, height: int, width: int, focal: float) -> None:
        rng = np.random.default_rng((seed, 16))
        self._margin = int(_TURN * focal)
        rows = int((HORIZON + _SPARE) * height)
        self.picture = _sky(rng, light, rows, width + 2 * self._margin)
        _skyline(rng, light, self.picture, height)

    def draw(self, canvas: Canvas, camera: Camera) -> None:
        """Fill the canvas above the horizon."""
        horizon = int(round(camera.horizon))
        left = self._margin + int(round(camera.pose.yaw * camera.focal))
        left = min(max(left, 0), self.picture.shape[1] - canvas.width)
        rows = self.picture.shape[0]
        top = rows - horizon
        if top < 0:
            canvas.pixels[:-top] = self.picture[0, 0]
        canvas.pixels[max(-top, 0) : horizon] = self.picture[max(top, 0) :, left : left + canvas.width]


def _sky(rng: np.random.Generator, light: Light, rows: int, cols: int) -> Image:
    w = light.weather
    h, wide = rows // 2, cols // 2
    up = np.linspace(1, 0, h, dtype=np.float32)[:, None, None]
    base = (
        np.array(w.low_sky, np.float32) + (np.array(w.zenith, np.float32) - np.array(w.low_sky, np.float32)) * up**0.8
    )
    sky = np.broadcast_to(base, (h, wide, 3)).copy()
    # Clouds lie in a plane overhead: the nearer to the horizon, the flatter they look.
    field = fractal(rng, 512, 512, 5, 6)
    y, x = np.mgrid[0:h, 0:wide].astype(np.float32)
    away = 90.0 / (h - y + 14.0)
    u = ((x - wide / 2) / wide * 620 * away + 256) % 512
    v = (away * 300) % 512
    clouds = cv2.remap(field, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cover = np.clip((clouds + 2.4 * w.cloud - 1.3) * 0.9, 0, 1)[..., None]
    body = np.clip(0.5 + 0.35 * cv2.GaussianBlur(clouds, (0, 0), 3), 0, 1)[..., None]
    colour = np.array(w.cloud_light, np.float32) * (1 - body) + np.array(w.cloud_dark, np.float32) * body
    cover *= np.clip((h - y) / (0.22 * h), 0.15, 1)[..., None]
    sky += (colour - sky) * cover * (0.85 if w.kind != "haze" else 0.3)
    if w.casts_shadows and w.sun_ahead > 0:
        sx = wide / 2 + w.sun_side * wide * 0.4
        glow = np.exp(-(((x - sx) / (0.22 * wide)) ** 2) - ((y + 0.15 * h) / (0.6 * h)) ** 2)[..., None]
        sky += (np.array((255.0, 250.0, 236.0), np.float32) - sky) * glow * 0.7
    out = np.empty((rows, cols, 4), np.uint8)
    out[..., :3] = np.clip(cv2.resize(sky, (cols, rows), interpolation=cv2.INTER_LINEAR), 0, 255)
    out[..., 3] = Label.SKY
    return out


def _skyline(rng: np.random.Generator, light: Light, picture: Image, height: int) -> None:
    """Far woods and roofs in front of the sky, blue with distance."""
    rows, cols = picture.shape[:2]
    hills = fractal(rng, 1, cols, 6, 3)[0]
    crowns = fractal(rng, 1, cols, max(cols // 26, 8), 3)[0]
    for distance, base, swing, tone in ((420.0, 0.030, 0.009, 0.9), (240.0, 0.020, 0.007, 0.75)):
        tops = rows - height * np.clip(base + swing * hills + 0.004 * crowns, 0.004, 0.1)
        green = (70 * tone, 88 * tone, 54 * tone)
        paint = np.array(light.paint(green, light.round, distance, Label.TREE), np.float32)
        grain = fractal(rng, 64, cols, max(cols // 10, 8), 2)
        y = np.arange(rows)[:, None]
        mask = y >= tops[None, :]
        first = int(tops.min())
        band = slice(max(first, rows - 64), rows)
        shade = np.clip(1 + 0.08 * grain[: rows - band.start], 0.6, 1.4)[..., None]
        colours = np.clip(paint[:3] * shade, 0, 255).astype(np.uint8)
        picture[band, :, :3][mask[band]] = colours[mask[band]]
        picture[band, :, 3][mask[band]] = Label.TREE
        hills = np.roll(hills, cols // 3)
    for _ in range(int(rng.integers(10, 22))):
        x, wide = int(rng.integers(cols)), int(rng.uniform(0.02, 0.06) * height)
        tall = int(rng.uniform(0.02, 0.05) * height)
        paint_ = light.paint((128, 112, 100), light.front, 300.0, Label.BUILDING)
        cv2.rectangle(picture, (x, rows - tall), (x + wide, rows), paint_, -1)
        peak = np.array([[x - 2, rows - tall], [x + wide // 2, rows - tall - wide // 3], [x + wide + 2, rows - tall]])
        cv2.fillPoly(picture, [peak.astype(np.int32)], light.paint((92, 84, 84), light.front, 300.0, Label.BUILDING))

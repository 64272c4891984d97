"""What lens and sensor do to the picture: reflections on wet road, bloom, exposure, vignette, blur, noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.canvas import Image
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.weather import Weather


class Lens:
    """The camera of one drive; `finish` works on whole images (H, W, 3)."""

    def __init__(self, seed: int, weather: Weather, height: int, width: int) -> None:
        rng = np.random.default_rng((seed, 17))
        self._seed = seed
        self._weather = weather
        self._blur = float(rng.uniform(0.35, 0.75))
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        radius = ((x / width - 0.5) ** 2 + ((y / height - 0.5) * height / width) ** 2) / 0.33
        fall = 1 - float(rng.uniform(0.12, 0.34)) * radius
        self._vignette: Image = np.repeat((fall * 255).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        grain = rng.normal(0, weather.noise, (height + 32, width + 32, 3))
        grain = grain * 0.6 + grain.mean(2, keepdims=True) * 0.9
        self._grain: NDArray[np.int16] = np.rint(grain).astype(np.int16)
        ramp = np.linspace(0, 1, 256)[:, None] ** weather.gamma * np.array(weather.gain)
        bent = ramp + 0.028 * np.sin(2 * np.pi * (ramp - 0.5)) * (ramp < 1)
        self._curve: Image = np.clip(bent * 255, 0, 255).astype(np.uint8)[None]

    def finish(self, image: Image, labels: Image, horizon: float, index: int) -> Image:
        if self._weather.wetness > 0:
            image = self._reflect(image, labels, int(round(horizon)))
        if self._weather.lamps > 0:
            glow = cv2.GaussianBlur(np.maximum(image, 200) - np.uint8(200), (0, 0), image.shape[1] / 110)
            image = np.asarray(cv2.scaleAdd(glow, 2.2, image), np.uint8)
        out = cv2.LUT(image, self._curve)
        out = cv2.multiply(out, self._vignette, scale=1 / 255)
        out = cv2.GaussianBlur(out, (3, 3), self._blur)
        rng = np.random.default_rng((self._seed, 19, index))
        y, x = (int(v) for v in rng.integers(0, 32, 2))
        grain = self._grain[y : y + image.shape[0], x : x + image.shape[1]]
        return np.asarray(cv2.add(out, grain, dtype=cv2.CV_8U), np.uint8)

    def _reflect(self, image: Image, labels: Image, horizon: int) -> Image:
        """Wet ground mirrors what stands above it, smeared downwards."""
        height = image.shape[0]
        horizon = min(max(horizon, 2), height - 2)
        rows = height - horizon
        source = np.maximum(horizon - 1 - np.arange(rows), 0)
        mirrored = cv2.blur(image[source], (3, max(height // 14, 3)))
        below = np.arange(rows, dtype=np.float32)
        share = (0.10 + 0.45 * np.exp(-below / (0.22 * height)))[:, None] * self._weather.wetness
        part = labels[horizon : horizon + rows]
        wet = share * ((part == Label.ROAD) + 0.6 * (part == Label.PAVEMENT)).astype(np.float32)
        weight = cv2.blur(wet, (3, 3))[..., None]
        out = image.copy()
        ground = image[horizon : horizon + rows].astype(np.float32)
        out[horizon : horizon + rows] = ground + (mirrored - ground) * weight
        return out

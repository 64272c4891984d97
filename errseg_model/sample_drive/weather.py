"""Light and weather of a drive, and what they do to a colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.canvas import Image, Paint

Rgb: TypeAlias = tuple[float, float, float]

KINDS = ("sunny", "bright", "overcast", "haze", "wet", "dusk")
_ODDS = (0.28, 0.2, 0.2, 0.1, 0.12, 0.1)


@dataclass(frozen=True)
class Weather:
    """Everything about light and air. Colours are factors (light) or 0..255 (sky, haze)."""

    kind: str
    sun: Rgb  # light from the sun, zero behind clouds
    ambient: Rgb  # light from the whole sky
    sun_side: float  # -1..1: the sun stands to the left or to the right
    sun_ahead: float  # -1..1: behind or ahead
    sun_height: float  # tangent of its elevation
    zenith: Rgb
    low_sky: Rgb
    cloud: float  # 0 clear, 1 closed
    cloud_light: Rgb
    cloud_dark: Rgb
    haze: Rgb
    haze_per_metre: float
    wetness: float
    gain: Rgb  # exposure times white balance
    gamma: float
    noise: float  # standard deviation, grey levels
    lamps: float  # 0 by day, 1 when street lamps and head lamps are lit

    @property
    def casts_shadows(self) -> bool:
        return self.sun[1] > 0.3


def choose_weather(rng: np.random.Generator) -> Weather:
    """Draw the weather of one drive."""
    kind = str(rng.choice(KINDS, p=_ODDS))
    side = float(rng.choice((-1, 1)) * rng.uniform(0.35, 1.0))
    ahead = float(rng.choice((-1, 1)) * np.sqrt(max(1 - side * side, 0.0)))
    warm = float(rng.normal(0, 0.035))
    bright = float(rng.uniform(0.88, 1.12))
    gain = (bright * (1 + warm), bright, bright * (1 - warm))
    noise = float(rng.uniform(1.5, 4.0))
    high = float(rng.uniform(0.5, 1.2))
    grey = float(rng.uniform(0, 1))
    if kind == "sunny":
        return Weather(
            kind,
            (0.98, 0.9, 0.74),
            (0.54, 0.58, 0.65),
            side,
            ahead,
            high,
            (70 + 40 * grey, 122 + 30 * grey, 192 + 20 * grey),
            (186, 206, 228),
            float(rng.uniform(0.1, 0.6)),
            (250, 250, 250),
            (196, 203, 215),
            (184, 200, 220),
            0.0022,
            0.0,
            gain,
            1.0,
            noise,
            0.0,
        )
    if kind == "bright":
        return Weather(
            kind,
            (0.75, 0.70, 0.6),
            (0.62, 0.63, 0.65),
            side,
            ahead,
            high * 0.7,
            (226, 233, 244),
            (250, 251, 253),
            float(rng.uniform(0.2, 0.9)),
            (255, 255, 255),
            (232, 237, 244),
            (224, 228, 234),
            0.0032,
            0.0,
            (gain[0] * 1.02, gain[1] * 1.02, gain[2] * 1.02),
            1.05,
            noise,
            0.0,
        )
    if kind == "overcast":
        tone = 150 + 70 * grey
        return Weather(
            kind,
            (0.08, 0.08, 0.08),
            (0.86, 0.88, 0.91),
            side,
            ahead,
            high,
            (tone, tone + 4, tone + 10),
            (tone + 22, tone + 25, tone + 28),
            1.0,
            (tone + 26, tone + 28, tone + 30),
            (tone - 38, tone - 34, tone - 27),
            (tone + 6, tone + 9, tone + 13),
            0.0035,
            0.0,
            gain,
            1.0,
            noise,
            0.0,
        )
    if kind == "haze":
        tone = 190 + 40 * grey
        return Weather(
            kind,
            (0.12, 0.11, 0.1),
            (0.84, 0.84, 0.84),
            side,
            ahead,
            high,
            (tone, tone + 2, tone + 4),
            (tone + 4, tone + 4, tone + 4),
            0.4,
            (tone + 8, tone + 8, tone + 8),
            (tone - 8, tone - 8, tone - 6),
            (tone, tone + 1, tone + 1),
            float(rng.uniform(0.009, 0.019)),
            0.0,
            gain,
            1.0,
            noise,
            0.0,
        )
    if kind == "wet":
        tone = 140 + 50 * grey
        return Weather(
            kind,
            (0.03, 0.03, 0.03),
            (0.76, 0.78, 0.82),
            side,
            ahead,
            high,
            (tone, tone + 4, tone + 9),
            (tone + 30, tone + 32, tone + 36),
            1.0,
            (tone + 24, tone + 27, tone + 31),
            (tone - 34, tone - 30, tone - 24),
            (tone + 12, tone + 15, tone + 20),
            0.006,
            1.0,
            gain,
            1.0,
            noise,
            float(grey < 0.5),
        )
    return Weather(
        kind,
        (0.16, 0.11, 0.07),
        (0.5, 0.5, 0.56),
        side,
        ahead,
        0.25,
        (96, 116, 156),
        (222, 190, 158),
        float(rng.uniform(0.3, 0.9)),
        (214, 178, 160),
        (112, 112, 134),
        (150, 142, 146),
        0.0035,
        0.0,
        gain,
        1.08,
        noise * 1.6,
        1.0,
    )


class Light:
    """Turns the colour of a surface into what the camera sees of it."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        length = float(np.sqrt(1 + weather.sun_height**2))
        self._sun = (weather.sun_side / length, weather.sun_height / length, weather.sun_ahead / length)
        self.left = self.on((1.0, 0.0, 0.0))  # facades on the left of the street look to the right
        self.right = self.on((-1.0, 0.0, 0.0))
        self.front = self.on((0.0, 0.0, -1.0))
        self.top = self.on((0.0, 1.0, 0.0))
        self.round = self.on((0.0, 0.5, -0.85))  # stands for people, trunks and other round things

    def on(self, normal: tuple[float, float, float]) -> Rgb:
        """Light factor of a surface with this unit normal (X right, Y up, Z along the street)."""
        toward = max(sum(a * b for a, b in zip(normal, self._sun, strict=True)), 0.0)
        sky = 0.80 + 0.20 * normal[1]
        w = self.weather
        return (
            w.ambient[0] * sky + w.sun[0] * toward,
            w.ambient[1] * sky + w.sun[1] * toward,
            w.ambient[2] * sky + w.sun[2] * toward,
        )

    def haze(self, distance: float) -> float:
        """Share of a colour that the air takes at a distance in metres, 0..1."""
        return 1.0 - float(np.exp(-self.weather.haze_per_metre * max(distance, 0.0)))

    def paint(self, colour: Rgb, light: Rgb, distance: float, label: int) -> Paint:
        """Colour 0..255 of a surface under a light factor at a distance, with its class id."""
        air = self.haze(distance)
        clear = 1.0 - air
        sky = self.weather.haze
        return (
            min(int(colour[0] * light[0] * clear + sky[0] * air), 255),
            min(int(colour[1] * light[1] * clear + sky[1] * air), 255),
            min(int(colour[2] * light[2] * clear + sky[2] * air), 255),
            int(label),
        )

    def lut(self, light: Rgb, distance: float) -> Image:
        """(1, 256, 4): the same as `paint` for a whole picture; class ids pass unchanged."""
        return _lut(light, self.weather.haze, round(self.haze(distance), 2))


_RAMP: NDArray[np.float32] = np.arange(256, dtype=np.float32)[:, None]


@lru_cache(maxsize=1024)
def _lut(light: Rgb, haze: Rgb, air: float) -> Image:
    table = np.empty((1, 256, 4), np.uint8)
    colours = _RAMP * (np.array(light, np.float32) * (1 - air)) + np.array(haze, np.float32) * air
    table[0, :, :3] = np.clip(colours, 0, 255)
    table[0, :, 3] = np.arange(256)
    return table

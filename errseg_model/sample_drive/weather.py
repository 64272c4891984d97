"""Light and weather of a drive, and what they do to a colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.canvas import Image, Paint

Rgb: TypeAlias = tuple[float, float, float]


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
        """Whether things throw shadows that are seen."""
        return self.sun[1] > 0.3


@dataclass(frozen=True)
class _Kind:
    """What the drives of a kind have in common."""

    odds: float
    sun: Rgb
    ambient: Rgb
    zenith: Rgb  # to this colour and the next four the tone is added
    low_sky: Rgb
    cloud_light: Rgb
    cloud_dark: Rgb
    haze: Rgb
    tone: tuple[float, float] = (0.0, 0.0)  # grey level of the darkest sky, and what the brightest has more
    zenith_spread: Rgb = (0.0, 0.0, 0.0)  # what the zenith of the brightest sky has more
    sun_height: tuple[float, float] = (0.0, 1.0)  # least, and the factor of the height drawn that is added
    cloud: float | tuple[float, float] = 1.0  # of a pair: from, to
    haze_per_metre: float | tuple[float, float] = 0.0035  # of a pair: from, to
    wetness: float = 0.0
    exposure: float = 1.0
    gamma: float = 1.0
    noise: float = 1.0  # factor
    lamps: float = 0.0  # share of the drives, those under the darkest skies, where they are lit


_KINDS = {
    "sunny": _Kind(
        odds=0.28,
        sun=(0.98, 0.9, 0.74),
        ambient=(0.54, 0.58, 0.65),
        zenith=(70, 122, 192),
        zenith_spread=(40, 30, 20),
        low_sky=(186, 206, 228),
        cloud=(0.1, 0.6),
        cloud_light=(250, 250, 250),
        cloud_dark=(196, 203, 215),
        haze=(184, 200, 220),
        haze_per_metre=0.0022,
    ),
    "bright": _Kind(
        odds=0.2,
        sun=(0.75, 0.70, 0.6),
        sun_height=(0.0, 0.7),
        ambient=(0.62, 0.63, 0.65),
        zenith=(226, 233, 244),
        low_sky=(250, 251, 253),
        cloud=(0.2, 0.9),
        cloud_light=(255, 255, 255),
        cloud_dark=(232, 237, 244),
        haze=(224, 228, 234),
        haze_per_metre=0.0032,
        exposure=1.02,
        gamma=1.05,
    ),
    "overcast": _Kind(
        odds=0.2,
        sun=(0.08, 0.08, 0.08),
        ambient=(0.86, 0.88, 0.91),
        tone=(150, 70),
        zenith=(0, 4, 10),
        low_sky=(22, 25, 28),
        cloud_light=(26, 28, 30),
        cloud_dark=(-38, -34, -27),
        haze=(6, 9, 13),
    ),
    "haze": _Kind(
        odds=0.1,
        sun=(0.12, 0.11, 0.1),
        ambient=(0.84, 0.84, 0.84),
        tone=(190, 40),
        zenith=(0, 2, 4),
        low_sky=(4, 4, 4),
        cloud=0.4,
        cloud_light=(8, 8, 8),
        cloud_dark=(-8, -8, -6),
        haze=(0, 1, 1),
        haze_per_metre=(0.009, 0.019),
    ),
    "wet": _Kind(
        odds=0.12,
        sun=(0.03, 0.03, 0.03),
        ambient=(0.76, 0.78, 0.82),
        tone=(140, 50),
        zenith=(0, 4, 9),
        low_sky=(30, 32, 36),
        cloud_light=(24, 27, 31),
        cloud_dark=(-34, -30, -24),
        haze=(12, 15, 20),
        haze_per_metre=0.006,
        wetness=1.0,
        lamps=0.5,
    ),
    "dusk": _Kind(
        odds=0.1,
        sun=(0.16, 0.11, 0.07),
        sun_height=(0.25, 0.0),
        ambient=(0.5, 0.5, 0.56),
        zenith=(96, 116, 156),
        low_sky=(222, 190, 158),
        cloud=(0.3, 0.9),
        cloud_light=(214, 178, 160),
        cloud_dark=(112, 112, 134),
        haze=(150, 142, 146),
        gamma=1.08,
        noise=1.6,
        lamps=1.0,
    ),
}
KINDS = tuple(_KINDS)


def choose_weather(rng: np.random.Generator) -> Weather:
    """Draw the weather of one drive."""
    # The order of the draws stays: a seed is to keep its pictures.
    name = str(rng.choice(KINDS, p=[kind.odds for kind in _KINDS.values()]))
    side = float(rng.choice((-1, 1)) * rng.uniform(0.35, 1.0))
    ahead = float(rng.choice((-1, 1)) * np.sqrt(max(1 - side * side, 0.0)))
    warm = float(rng.normal(0, 0.035))
    bright = float(rng.uniform(0.88, 1.12))
    noise = float(rng.uniform(1.5, 4.0))
    high = float(rng.uniform(0.5, 1.2))
    grey = float(rng.uniform(0, 1))
    kind = _KINDS[name]
    tone = kind.tone[0] + kind.tone[1] * grey
    red, green, blue = _shifted(kind.zenith, tone)
    more_red, more_green, more_blue = kind.zenith_spread
    return Weather(
        kind=name,
        sun=kind.sun,
        ambient=kind.ambient,
        sun_side=side,
        sun_ahead=ahead,
        sun_height=kind.sun_height[0] + kind.sun_height[1] * high,
        zenith=(red + more_red * grey, green + more_green * grey, blue + more_blue * grey),
        low_sky=_shifted(kind.low_sky, tone),
        cloud=_drawn(kind.cloud, rng),
        cloud_light=_shifted(kind.cloud_light, tone),
        cloud_dark=_shifted(kind.cloud_dark, tone),
        haze=_shifted(kind.haze, tone),
        haze_per_metre=_drawn(kind.haze_per_metre, rng),
        wetness=kind.wetness,
        gain=(bright * (1 + warm) * kind.exposure, bright * kind.exposure, bright * (1 - warm) * kind.exposure),
        gamma=kind.gamma,
        noise=noise * kind.noise,
        lamps=float(grey < kind.lamps),
    )


def _shifted(colour: Rgb, tone: float) -> Rgb:
    return tone + colour[0], tone + colour[1], tone + colour[2]


def _drawn(value: float | tuple[float, float], rng: np.random.Generator) -> float:
    """A number as it is; between the ends of a pair one is drawn."""
    return float(rng.uniform(*value)) if isinstance(value, tuple) else value


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

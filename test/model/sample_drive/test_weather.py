from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from errseg_model.sample_drive.weather import KINDS, Light, Weather, choose_weather

GOLDEN = {
    "sunny": 314850.5169169254,
    "bright": 325841.1081967659,
    "overcast": 331596.74156294396,
    "haze": 189974.323221923,
    "wet": 193933.00411830097,
    "dusk": 166765.49202286865,
}
"""Sums of all that is drawn with the first 120 seeds, by kind."""


def weather(kind: str) -> Weather:
    return next(w for w in (choose_weather(np.random.default_rng(i)) for i in range(500)) if w.kind == kind)


def test_every_seed_keeps_its_weather() -> None:
    """And what is drawn after it, of which the rest of the drive is made."""
    found: dict[str, float] = dict.fromkeys(KINDS, 0.0)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        drawn = dataclasses.asdict(choose_weather(rng))
        numbers = np.hstack([value for name, value in drawn.items() if name != "kind"])
        # Each at a place of its own, weighed differently: any that is swapped or changed changes the sum.
        found[drawn["kind"]] += float(numbers @ np.sqrt(np.arange(2, len(numbers) + 2))) + float(rng.uniform())
    assert found == pytest.approx(GOLDEN, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_air_swallows_colour_with_distance(kind: str) -> None:
    light = Light(weather(kind))
    shares = [light.haze(z) for z in (0.0, 10.0, 100.0, 1e5)]
    assert shares[0] == 0.0 and shares[-1] == pytest.approx(1.0)
    assert shares == sorted(shares)
    far = light.paint((10.0, 200.0, 30.0), light.top, 1e6, 5)
    np.testing.assert_allclose(far[:3], np.minimum(light.weather.haze, 255), atol=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_does_the_same_as_paint(kind: str) -> None:
    light = Light(weather(kind))
    for distance in (0.0, 25.0, 90.0):
        table = light.lut(light.top, distance)
        painted = light.paint((40.0, 90.0, 160.0), light.top, distance, 5)
        looked_up = [int(table[0, v, c]) for c, v in enumerate((40, 90, 160))]
        np.testing.assert_allclose(looked_up, painted[:3], atol=3)
        np.testing.assert_array_equal(table[0, :, 3], np.arange(256), err_msg="class ids pass unchanged")


def test_the_sun_lights_the_side_that_faces_it() -> None:
    sunny = weather("sunny")
    light = Light(sunny)
    lit, shaded = (light.right, light.left) if sunny.sun_side < 0 else (light.left, light.right)
    assert lit[0] > shaded[0] + 0.1
    assert sunny.casts_shadows and not weather("overcast").casts_shadows


@pytest.mark.parametrize(("kind", "attribute"), [("wet", "wetness"), ("dusk", "lamps")])
def test_special_weather_shows(kind: str, attribute: str) -> None:
    assert getattr(weather(kind), attribute) == 1.0
    assert getattr(weather("sunny"), attribute) == 0.0

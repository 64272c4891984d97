from __future__ import annotations

import dataclasses

import numpy as np

from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.lens import Lens
from errseg_model.sample_drive.weather import Weather, choose_weather

HORIZON = 40
DRY = dataclasses.replace(
    choose_weather(np.random.default_rng(0)), wetness=0.0, lamps=0.0, noise=0.0, gain=(1.0, 1.0, 1.0)
)


def finished(weather: Weather, label: Label, index: int = 0) -> np.ndarray:
    """A white sky over dark ground of one class, seen through the lens."""
    image = np.full((100, 160, 3), 60, np.uint8)
    image[:HORIZON] = 250
    labels = np.full((100, 160), label, np.uint8)
    labels[:HORIZON] = Label.SKY
    return Lens(0, weather, 100, 160).finish(image, labels, float(HORIZON), index)


def test_only_wet_ground_mirrors_the_sky() -> None:
    wet = dataclasses.replace(DRY, wetness=1.0)
    ground = slice(HORIZON + 5, 90)
    dry_road, wet_road, wet_grass = (
        finished(w, label)[ground].mean() for w, label in ((DRY, Label.ROAD), (wet, Label.ROAD), (wet, Label.TREE))
    )
    assert wet_road > dry_road + 20
    assert wet_grass == dry_road


def test_corners_are_darker_than_the_middle() -> None:
    sky = finished(DRY, Label.ROAD)[: HORIZON - 2].astype(float)
    assert sky[:5, :5].mean() < sky[-5:, 75:85].mean() - 5


def test_noise_has_its_strength_and_changes_from_frame_to_frame() -> None:
    noisy = dataclasses.replace(DRY, noise=4.0)
    clean = finished(DRY, Label.ROAD).astype(float)
    first, second = (finished(noisy, Label.ROAD, index).astype(float) for index in (0, 1))
    ground = slice(HORIZON + 3, 97)
    assert 2.0 < (first - clean)[ground].std() < 6.0
    assert (first != second).mean() > 0.5
    np.testing.assert_array_equal(first, finished(noisy, Label.ROAD, 0))


def test_lit_lamps_glow() -> None:
    image = np.full((100, 160, 3), 40, np.uint8)
    image[50:53, 80:83] = 255
    labels = np.full((100, 160), Label.BUILDING, np.uint8)
    around = [
        Lens(0, dataclasses.replace(DRY, lamps=lamps), 100, 160).finish(image, labels, HORIZON, 0)[50, 84].mean()
        for lamps in (0.0, 1.0)
    ]
    assert around[1] > around[0] + 3

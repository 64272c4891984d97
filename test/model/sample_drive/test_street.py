from __future__ import annotations

import numpy as np
import pytest

from errseg_model.sample_drive.camera import NEAREST, Intrinsics
from errseg_model.sample_drive.street import LANE, CrossSection, Ride, Street, clip_near

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_camera_drives_forward_in_its_lane(seed: int) -> None:
    rng = np.random.default_rng(seed)
    street, ride = Street.wind(rng), Ride.choose(rng)
    intrinsics = Intrinsics.for_size(360, 640)
    poses = [ride.pose(t, street, intrinsics) for t in np.arange(0, 30, 0.1)]
    speed = np.diff([p.z for p in poses]) / 0.1
    assert speed.min() > 3 and speed.max() < 14, "metres a second: a town"
    lateral = np.array([p.x - float(street.middle(np.array(p.z))) for p in poses]) * ride.side
    assert (np.abs(lateral - LANE / 2) < 0.5).all()
    assert max(abs(p.yaw) for p in poses) < 0.25


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slope_is_the_derivative_of_the_middle(seed: int) -> None:
    street = Street.wind(np.random.default_rng(seed))
    for s in (0.0, 313.0, 4321.0):
        left, right = street.middle(np.array([s - 0.01, s + 0.01]))
        assert street.slope(s) == pytest.approx((right - left) / 0.02, abs=1e-6)


def test_streets_have_room_for_lanes_and_parked_cars() -> None:
    sections = [CrossSection.choose(np.random.default_rng(seed)) for seed in range(30)]
    assert {s.parks(i) for s in sections for i in range(2)} == {True, False}
    for section in sections:
        for i in range(2):
            assert section.kerb[i] > LANE + (1.8 if section.parks(i) else 0.1)


@pytest.mark.parametrize(
    ("depths", "corners"),
    [
        ((5.0, 5.0, 5.0, 5.0), 4),
        ((-1.0, -1.0, -1.0, -1.0), 0),
        ((5.0, 5.0, -1.0, -1.0), 4),
        ((5.0, -1.0, -1.0, -1.0), 3),
    ],
)
def test_polygons_are_clipped_at_the_camera(depths: tuple[float, ...], corners: int) -> None:
    places = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    places[:, 2] = depths  # so that a place knows its depth
    kept = clip_near(places, np.array(depths))
    assert kept.shape == (corners, 3)
    assert (kept[:, 2] >= NEAREST - 1e-9).all()

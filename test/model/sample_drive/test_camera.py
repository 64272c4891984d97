from __future__ import annotations

import numpy as np
import pytest

from errseg_model.sample_drive.camera import HORIZON, Camera, Intrinsics, Pose


def camera(scale: int = 1, **pose: float) -> Camera:
    intrinsics = Intrinsics.for_size(360, 640)
    values = {"x": 0.0, "height": 1.4, "z": 0.0, "yaw": 0.0, "pitch": 0.0} | pose
    return Camera(intrinsics, Pose(**values), scale)


@pytest.mark.parametrize("scale", [1, 2])
def test_projection_is_that_of_a_pinhole(scale: int) -> None:
    cam = camera(scale)
    k = cam.intrinsics
    points, depth = cam.project(np.array([2.0]), np.array([0.0]), np.array([10.0]))
    u, v = k.cx + k.fx * 2.0 / 10.0, k.cy + k.fy * 1.4 / 10.0
    # pixel centres are at whole numbers in both pictures
    np.testing.assert_allclose(points[0], (scale * (u + 0.5) - 0.5, scale * (v + 0.5) - 0.5))
    assert depth[0] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("pose", "axis", "sign"),
    [({"yaw": 0.1}, 0, -1), ({"pitch": 0.1}, 1, -1), ({"x": 1.0}, 0, -1), ({"height": 2.0}, 1, 1)],
)
def test_turning_and_moving_shift_the_picture_the_other_way(pose: dict[str, float], axis: int, sign: int) -> None:
    still, moved = (
        c.project(np.array([0.0]), np.array([1.0]), np.array([20.0]))[0][0, axis] for c in (camera(), camera(**pose))
    )
    assert np.sign(moved - still) == sign


def test_the_horizon_is_where_far_ground_vanishes() -> None:
    intrinsics = Intrinsics.for_size(360, 640)
    cam = camera(pitch=intrinsics.level_pitch)
    far, _ = cam.project(np.array([0.0]), np.array([0.0]), np.array([1e6]))
    assert far[0, 1] == pytest.approx(cam.horizon, abs=0.01)
    assert cam.horizon / 360 == pytest.approx(HORIZON, abs=0.002)


def test_ground_homography_inverts_the_projection() -> None:
    cam = camera(x=3.0, z=130.0, yaw=0.1, pitch=0.06)
    x, z = np.array([1.0, 6.0]), np.array([140.0, 150.0])
    pixels, _ = cam.project(x, np.zeros(2), z)
    tile = cam.ground_homography(tile_metres=64.0, tile_pixels=512) @ np.vstack([pixels.T, np.ones(2)])
    here = (tile[:2] / tile[2]).T / 8.0
    np.testing.assert_allclose(here, np.stack([x, z - 128.0], 1), atol=1e-6)


def test_matrix_has_the_layout_of_camera_info() -> None:
    k = Intrinsics.for_size(360, 640)
    np.testing.assert_array_equal(np.reshape(k.matrix, (3, 3)), [[k.fx, 0, k.cx], [0, k.fy, k.cy], [0, 0, 1]])

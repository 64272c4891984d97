from __future__ import annotations

import numpy as np
import pytest

from errseg_model.sample_drive.noise import fractal


@pytest.mark.parametrize(("height", "width", "coarse"), [(64, 64, 4), (32, 128, 8), (1, 200, 6)])
def test_noise_is_normed_and_joins_at_its_borders(height: int, width: int, coarse: int) -> None:
    field = fractal(np.random.default_rng(0), height, width, coarse, 3)
    assert field.shape == (height, width)
    assert field.mean() == pytest.approx(0, abs=1e-4) and field.std() == pytest.approx(1, abs=1e-3)
    step = np.abs(np.diff(field, axis=1))
    seam = np.abs(field[:, 0] - field[:, -1])
    assert seam.mean() < step.mean() + 3 * step.std()

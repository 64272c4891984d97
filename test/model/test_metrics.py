from __future__ import annotations

import numpy as np
import pytest

from errseg_model.metrics import ConfusionMatrix


def test_figures_by_hand() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 0, 1], [1, 255, 0]]), np.array([[0, 1, 1], [65535, 0, 0]]))
    # class 0: 2 right of 3, none wrongly; class 1: 1 right of 2, one of class 0 taken for it; class 2: absent
    np.testing.assert_allclose(matrix.iou(), [2 / 3, 1 / 3, np.nan])
    assert matrix.miou() == pytest.approx(0.5)
    assert matrix.pixel_accuracy() == pytest.approx(3 / 5)


def test_frames_add_up() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 5, (2, 6, 40, 30))
    whole, parts = ConfusionMatrix(4), ConfusionMatrix(4)
    whole.update(truth, prediction)
    for one, other in zip(truth, prediction, strict=True):
        parts.update(one, other)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    for label in range(4):
        both = ((truth == label) & (prediction == label)).sum()
        either = ((truth == label) | ((prediction == label) & (truth < 4))).sum()
        assert whole.iou()[label] == pytest.approx(both / either)


def test_nothing_counted() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.full((2, 2), 255), np.zeros((2, 2), int))
    assert np.isnan(matrix.miou()) and np.isnan(matrix.pixel_accuracy())


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\), prediction \(3, 2\)"):
        ConfusionMatrix(2).update(np.zeros((2, 2), int), np.zeros((3, 2), int))

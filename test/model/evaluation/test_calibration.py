"""Calibration of confidence and its expected error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from errseg_model.evaluation.calibration import Calibration, Reliability, fit_calibration, fold
from errseg_model.factory import create_model


def test_expected_error_is_the_mean_gap_of_the_bins() -> None:
    reliability = Reliability()
    # Of 8 pixels at 0.95 half are right: a gap of 0.45. Of 2 at 0.35 none: 0.35.
    reliability.update(np.full(6, 0.95), np.array([True] * 4 + [False] * 2))
    reliability.update(np.array([0.95, 0.95, 0.35, 0.35]), np.zeros(4, bool))
    assert reliability.expected_error() == pytest.approx((8 * 0.45 + 2 * 0.35) / 10)
    assert reliability.pixels.sum() == 10 and reliability.right.sum() == 4


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_the_ends_of_the_scale_lie_in_a_bin(confidence: float) -> None:
    reliability = Reliability()
    reliability.update(np.array([confidence]), np.array([confidence == 1]))
    assert reliability.expected_error() == 0 and reliability.pixels.sum() == 1


def test_nothing_measured_is_no_error_of_zero() -> None:
    assert np.isnan(Reliability().expected_error())


@pytest.mark.parametrize(
    ("confidence", "right"), [([0.5], [True, False]), ([1.5], [True]), ([-0.1], [True]), ([np.nan], [True])]
)
def test_wrong_confidences_are_refused(confidence: list[float], right: list[bool]) -> None:
    with pytest.raises(ValueError, match="confidence"):
        Reliability().update(np.array(confidence), np.array(right))


@pytest.mark.parametrize(("temperature", "bias"), [(2.0, 0.7), (0.5, -1.0), (1.0, 0.0)])
def test_a_fit_finds_the_temperature_and_bias_that_pixels_were_drawn_with(temperature: float, bias: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(1, 2, 200_000)
    right = rng.random(len(logits)) < 1 / (1 + np.exp(-(logits / temperature + bias)))
    fitted = fit_calibration(logits, right)
    assert fitted.temperature == pytest.approx(temperature, rel=0.03)
    assert fitted.bias == pytest.approx(bias, abs=0.03)
    calibrated = 1 / (1 + np.exp(-(logits / fitted.temperature + fitted.bias)))
    reliability = Reliability()
    reliability.update(calibrated, right)
    assert reliability.expected_error() < 0.01


@pytest.mark.parametrize(
    ("right", "message"), [([True, True], "right and pixels that are wrong"), ([True, False], "be")]
)
def test_what_cannot_be_calibrated_is_refused(right: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_calibration(np.array([-1.0, 1.0]), np.array(right))


def test_folded_weights_give_the_calibrated_logits() -> None:
    torch.manual_seed(0)
    model = create_model("errseg-lite", random_weights=True)
    images, text = torch.randn(1, 3, 64, 64), torch.nn.functional.normalize(torch.randn(4, 384), dim=1)
    with torch.inference_mode():
        before = model.network(images, text, 4).logits
        for name, tensor in fold(model.named_tensors(), Calibration(2.5, -0.4)).items():
            model.named_tensors()[name].copy_(tensor)
        after = model.network(images, text, 4).logits
    torch.testing.assert_close(after, before / 2.5 - 0.4, rtol=1e-4, atol=1e-4)

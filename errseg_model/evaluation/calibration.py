"""Confidence that can be read as a probability: temperature scaling of the logits, and its expected error.

Guo et al., "On Calibration of Modern Neural Networks", 2017; here with a bias, as the scores are sigmoids (Platt).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

LAST_LAYER = "decoder.head"

BINS = 15
"""Of equal width, as in the literature."""

STEPS = 50
"""Of Newton's method; it ends sooner where nothing moves."""

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Calibration:
    """sigmoid(logit / temperature + bias) is the probability that a pixel's class is right."""

    temperature: float = 1.0
    bias: float = 0.0


class Reliability:
    """How often the best class of a pixel is right, by its confidence; adds up over images."""

    def __init__(self) -> None:
        self.pixels: NDArray[np.int64] = np.zeros(BINS, np.int64)
        """(BINS,) pixels whose confidence lies in the bin."""
        self.right: NDArray[np.int64] = np.zeros(BINS, np.int64)
        """(BINS,) those of them whose class is right."""
        self.confidence: NDArray[np.float64] = np.zeros(BINS)
        """(BINS,) sum of their confidences."""

    def update(self, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Add pixels (N,) of confidence 0..1. Raises ValueError when shapes differ or a confidence is outside."""
        if confidence.shape != right.shape:
            raise ValueError(f"confidence is {confidence.shape}, right {right.shape}: they must be the same size")
        if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
            raise ValueError("confidence must be in 0..1")
        place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        self.pixels += np.bincount(place, minlength=BINS)
        self.right += np.bincount(place, weights=right, minlength=BINS).astype(np.int64)
        self.confidence += np.bincount(place, weights=confidence, minlength=BINS)

    def expected_error(self) -> float:
        """ECE: mean over pixels of |share that is right - confidence| of their bin; nan without pixels."""
        total = self.pixels.sum()
        return float(np.abs(self.right - self.confidence).sum() / total) if total else float("nan")


def fit_calibration(logits: NDArray[np.floating], right: NDArray[np.bool_]) -> Calibration:
    """Platt scaling: the calibration under which (N,) best logits best tell which pixels are right.

    Minimises the log loss by Newton's method. Raises ValueError when all or none are right: nothing can be learned.
    """
    if right.all() or not right.any():
        raise ValueError("calibration needs pixels that are right and pixels that are wrong")
    features = np.stack([logits.astype(np.float64), np.ones(len(logits))])
    signed = np.where(right, -features, features)
    weights = np.array([1.0, 0.0])
    for _ in range(STEPS):
        wrong = np.exp(-np.logaddexp(0, -(weights @ signed)))  # probability of the other answer
        curvature = (features * (wrong * (1 - wrong))) @ features.T / len(logits) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, signed @ wrong / len(logits))
        # A step that overshoots is halved: far from the end Newton's method may diverge.
        while _log_loss(weights - step, signed) > _log_loss(weights, signed) and np.abs(step).max() > TOLERANCE:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= TOLERANCE:
            break
    slope, bias = weights.tolist()
    if slope <= 0:
        raise ValueError("higher logits are not right more often: the model cannot be calibrated")
    return Calibration(1 / slope, bias)


def _log_loss(weights: NDArray[np.float64], signed: NDArray[np.float64]) -> float:
    """Mean log loss; `signed` (2, N) are the features, negative where the pixel is right."""
    return float(np.logaddexp(0, weights @ signed).mean())


def fold(tensors: Mapping[str, Tensor], calibration: Calibration) -> dict[str, Tensor]:
    """A model's weights, by our names, whose logits are calibrated: the last layer is linear and takes it in.

    Weight (1, D, 1, 1) and bias (1,) of that layer change, all other tensors are those that were given. Raises KeyError
    when one of the two is not there.
    """
    weight, bias = tensors[f"{LAST_LAYER}.weight"], tensors[f"{LAST_LAYER}.bias"]
    return {
        **tensors,
        f"{LAST_LAYER}.weight": weight / calibration.temperature,
        f"{LAST_LAYER}.bias": bias / calibration.temperature + calibration.bias,
    }

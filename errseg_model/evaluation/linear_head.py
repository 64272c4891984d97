"""A linear classifier on a model's dense embeddings: the closed-set alternative that open words are compared with.

It reads the very vectors that the words are compared with, and one row of weights per class takes the place of the
words. So it can say nothing but the classes that it has rows for. It is a plain one: no decoder, no weights of classes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from errseg_model.config import STRIDES
from errseg_model.datasets import Dataset
from errseg_model.errors import InputError
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.letterbox import computed_size, fitted_places, fitted_size
from errseg_model.preprocessing import image_size
from errseg_model.segmenter import Segmenter

PLACES_OF_AN_IMAGE = 200
"""Places at stride 16 that are drawn of every picture: neighbours say the same."""

SEED = 0
"""Of these places."""

PENALTY = 1e-5
"""Of the sum of squared weights on embeddings of variance 1: enough to bound them where classes are separable."""

ITERATIONS = 300
"""Of L-BFGS at most; the loss is convex."""


@dataclass(frozen=True)
class LinearHead:
    """Multinomial logistic regression of K classes on embeddings of C channels."""

    classes: tuple[int, ...]
    """(K,) positions in the data set's classes."""
    weight: Tensor
    """(K, C)."""
    bias: Tensor
    """(K,)."""

    @classmethod
    def train(cls, segmenter: Segmenter, dataset: Dataset, held_out: Collection[str]) -> LinearHead:
        """Fit to random places of every picture, each with the label of the pixel in its middle.

        Args:
            segmenter: whose embeddings are read; nothing in it changes.
            dataset: labelled images.
            held_out: classes without a row; their pixels do not count.

        Raises:
            InputError: no place that was drawn shows one of the classes that are left.
        """
        classes = tuple(label for label, name in enumerate(dataset.classes) if name not in held_out)
        rows = np.full(len(dataset.classes) + 1, len(classes))
        rows[list(classes)] = range(len(classes))
        rng = np.random.default_rng(SEED)
        embeddings, labels = [], []
        for sample in tqdm(dataset, total=len(dataset), desc="reading embeddings", unit="image"):
            middles = _labels_of_places(sample.labels, fitted_size(image_size(sample.image), segmenter.config))
            dense = segmenter.embed_image(sample.image).cpu()[:, : middles.shape[0], : middles.shape[1]]
            drawn = torch.from_numpy(rng.permutation(middles.size)[:PLACES_OF_AN_IMAGE])
            embeddings.append(dense.flatten(1)[:, drawn].T)
            labels.append(torch.from_numpy(rows[middles]).flatten()[drawn])
        truth = torch.cat(labels)
        counts = truth < len(classes)
        if not counts.any():
            raise InputError(f"no place of {len(dataset)} images shows a class that a linear head could learn")
        return cls(classes, *_logistic_regression(torch.cat(embeddings)[counts], truth[counts], len(classes)))

    def segment(self, segmenter: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(H, W) position of the best class of each pixel of an image (H, W, 3) uint8 RGB.

        The logits are resized to the network's input, cut to the image, and resized to it.
        """
        dense = segmenter.embed_image(image).cpu()
        logits = torch.einsum("chw,kc->khw", dense, self.weight) + self.bias[:, None, None]
        fitted = fitted_size(image_size(image), segmenter.config)
        wide = _resize(logits, computed_size(fitted))[:, : fitted[0], : fitted[1]]
        best = _resize(wide, image_size(image)).argmax(0)
        mask: NDArray[np.int64] = np.array(self.classes, np.int64)[best.numpy()]
        return mask

    def measure(self, segmenter: Segmenter, dataset: Dataset) -> ConfusionMatrix:
        """Segment every image of a data set and compare."""
        confusion = ConfusionMatrix(len(dataset.classes))
        for sample in tqdm(dataset, total=len(dataset), desc="linear head", unit="image"):
            confusion.update(sample.labels, self.segment(segmenter, sample.image))
        return confusion


def _labels_of_places(labels: NDArray[np.integer], fitted: tuple[int, int]) -> NDArray[np.integer]:
    """(h, w) labels in the middles of the places at stride 16 of an image resized to `fitted`, without padding."""
    places = []
    for size, side, count in zip(labels.shape, fitted, fitted_places(fitted, STRIDES[2]), strict=True):
        middles = (np.arange(count) + 0.5) * STRIDES[2]
        places.append(np.minimum((middles * size / side).astype(np.int64), size - 1))
    middle: NDArray[np.integer] = labels[np.ix_(*places)]
    return middle


def _logistic_regression(embeddings: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (classes, C) and biases (classes,) of embeddings (N, C) with labels (N,)."""
    # L-BFGS needs few steps where all channels have one scale; the scale is folded into the weights afterwards.
    mean, scale = embeddings.mean(0), embeddings.std(0, correction=0).clamp(min=1e-6)
    scaled = (embeddings - mean) / scale
    weight = torch.zeros(classes, embeddings.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(scaled, weight, bias), labels) + PENALTY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    folded = weight.detach() / scale
    return folded, bias.detach() - folded @ mean


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (K, h, w) of another size."""
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]

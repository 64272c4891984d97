"""Intersection over union, from a confusion matrix that adds up over frames.

Counted over the whole data set, not averaged over images. Which classes the mean is over matters where the pictures do
not show all of them: torchmetrics and mmsegmentation take those that truth or prediction has, as `miou` does. The
newer versions of detectron2, with which the paper measures, take those that the truth has, as `miou_of_truth` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ConfusionMatrix:
    """Counts of (truth, prediction) pairs of pixels."""

    def __init__(self, num_classes: int) -> None:
        """`num_classes` classes with ids 0 .. num_classes - 1; every other prediction counts as 'none of them'."""
        self.num_classes = num_classes
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes + 1), np.int64)
        """(truth, prediction); the last column is 'none of them'."""

    def update(self, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> None:
        """Add one frame. Pixels whose truth is outside the classes do not count.

        Raises ValueError when the shapes differ.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}: they must be the same size")
        size = self.num_classes + 1
        pairs = self._folded(truth) * np.uint32(size) + self._folded(prediction)
        self.counts += np.bincount(pairs.ravel(), minlength=size * size).reshape(size, size)[:-1]

    def _folded(self, values: NDArray[np.integer]) -> NDArray[np.uint32]:
        """As uint32, with the number of classes in place of all that is no class."""
        signed = values.astype(np.int32 if values.dtype.itemsize < 4 else np.int64)
        # Seen as unsigned a negative number is a large one: one comparison, and no selection of pixels, which is slow.
        unsigned = signed.view(np.uint32 if signed.dtype == np.int32 else np.uint64)
        folded: NDArray[np.uint32] = np.minimum(unsigned, unsigned.dtype.type(self.num_classes)).astype(np.uint32)
        return folded

    def iou(self) -> NDArray[np.float64]:
        """(num_classes,) intersection over union; nan for a class that neither truth nor prediction has."""
        both = self.counts.diagonal().astype(np.float64)
        union = self.counts.sum(1) + self.counts[:, : self.num_classes].sum(0) - both
        iou: NDArray[np.float64] = np.divide(both, union, out=np.full(self.num_classes, np.nan), where=union > 0)
        return iou

    def miou(self) -> float:
        """Mean IoU over the classes that truth or prediction has; nan without any."""
        iou = self.iou()
        return float(iou[~np.isnan(iou)].mean()) if not np.isnan(iou).all() else float("nan")

    def miou_of_truth(self) -> float:
        """Mean IoU over the classes that truth has; nan without any."""
        present = self.counts.any(1)
        return float(self.iou()[present].mean()) if present.any() else float("nan")

    def pixel_accuracy(self) -> float:
        """Share of the counted pixels that are right; nan without any."""
        total = self.counts.sum()
        return float(self.counts.trace() / total) if total else float("nan")

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """These figures under the keys that all reports share; an IoU is null where `iou` is nan.

        Raises ValueError unless `classes` has one name for each class.
        """
        return {
            "miou": self.miou(),
            "miou_of_labelled_classes": self.miou_of_truth(),
            "pixel_accuracy": self.pixel_accuracy(),
            "iou": {n: None if np.isnan(x) else x for n, x in zip(classes, self.iou().tolist(), strict=True)},
        }

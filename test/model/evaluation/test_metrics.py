from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from errseg_model.evaluation.metrics import ConfusionMatrix


def test_figures_by_hand() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 0, 1], [1, 255, 0]]), np.array([[0, 1, 1], [65535, 0, 0]]))
    # class 0: 2 right of 3, none wrongly; class 1: 1 right of 2, one of class 0 taken for it; class 2: absent
    np.testing.assert_allclose(matrix.iou(), [2 / 3, 1 / 3, np.nan])
    assert matrix.miou() == pytest.approx(0.5)
    assert matrix.miou_of_truth() == pytest.approx(0.5)
    assert matrix.pixel_accuracy() == pytest.approx(3 / 5)


def test_a_class_that_is_only_predicted_counts_in_one_of_the_means() -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(np.array([[0, 0, 1, 4]]), np.array([[0, 2, 1, 3]]))
    assert matrix.miou() == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert matrix.miou_of_truth() == pytest.approx((1 / 2 + 1) / 2)


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
    assert np.isnan(matrix.miou()) and np.isnan(matrix.miou_of_truth()) and np.isnan(matrix.pixel_accuracy())


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\), prediction \(3, 2\)"):
        ConfusionMatrix(2).update(np.zeros((2, 2), int), np.zeros((3, 2), int))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_what_is_no_class_folds_in_every_type(dtype: type[np.integer]) -> None:
    information = np.iinfo(dtype)
    values = np.array([[0, 1, 2, 3, information.max, information.min]], dtype)
    matrix = ConfusionMatrix(3)
    matrix.update(values, np.array([[0, 0, 0, 0, 0, 0]]))
    matrix.update(np.array([[1, 1, 1, 1, 1, 1]]), values)
    lowest = int(information.min == 0)  # 0 for unsigned types
    np.testing.assert_array_equal(matrix.counts, [[1 + lowest, 0, 0, 0], [2 + lowest, 1, 1, 3 - lowest], [1, 0, 0, 0]])


@pytest.mark.parametrize("classes", [2, 19, 150, 847])
@pytest.mark.parametrize("seed", [0, 1])
def test_figures_equal_those_of_torchmetrics(classes: int, seed: int) -> None:
    """With void pixels, and classes that only the truth, only the prediction, or neither has."""
    rng = np.random.default_rng(seed)
    matrix = ConfusionMatrix(classes)
    settings = {"num_classes": classes, "ignore_index": classes}
    iou = MulticlassJaccardIndex(average="none", **settings)
    mean = MulticlassJaccardIndex(average="macro", **settings)
    accuracy = MulticlassAccuracy(average="micro", **settings)
    predicted = rng.permutation(classes)[: max(1, classes * 2 // 3)]
    for _ in range(3):
        truth = rng.integers(0, max(1, classes * 3 // 4), (37, 53))
        right = rng.random((37, 53)) < 0.6
        mask = np.where(right, truth, rng.choice(predicted, (37, 53)))
        truth[rng.random((37, 53)) < 0.2] = classes
        matrix.update(truth.astype(np.uint16), mask.astype(np.uint16))
        for metric in (iou, mean, accuracy):
            metric.update(torch.from_numpy(mask)[None], torch.from_numpy(truth)[None])
    # Where a class is in neither, torchmetrics has 0 and leaves it out of the mean; we have nan.
    np.testing.assert_allclose(np.nan_to_num(matrix.iou()), iou.compute().numpy(), atol=1e-6)
    assert matrix.miou() == pytest.approx(mean.compute().item(), abs=1e-6)
    assert matrix.pixel_accuracy() == pytest.approx(accuracy.compute().item(), abs=1e-6)
    assert classes == 2 or np.isnan(matrix.iou()).any()

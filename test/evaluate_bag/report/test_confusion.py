from __future__ import annotations

import numpy as np
import pytest

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_ros.evaluate_bag.report.confusion import (
    MAX_SHOWN,
    NONE_OF_THEM,
    OTHERS,
    class_rows,
    confused_pairs,
    shown_matrix,
)
from errseg_ros.evaluate_bag.results import Truth


def make_truth(pairs: dict[tuple[int, int], int], classes: int) -> Truth:
    """`pairs`: pixels by (label, prediction)."""
    confusion = ConfusionMatrix(classes)
    for (label, prediction), pixels in pairs.items():
        confusion.update(np.full(pixels, label), np.full(pixels, prediction))
    return Truth(tuple(f"class {k}" for k in range(classes)), confusion, (), {}, (), 0.05)


def test_rows_by_iou_and_classes_without_pixels_last() -> None:
    rows = class_rows(make_truth({(0, 0): 5, (0, 2): 5, (2, 2): 20, (3, 0): 10}, 5))
    assert [row.name for row in rows] == ["class 2", "class 0", "class 3", "class 1", "class 4"]
    best, second, missed, absent = rows[:4]
    assert (best.iou, best.recall, best.precision, best.share) == pytest.approx((20 / 25, 1.0, 20 / 25, 20 / 40))
    assert (second.iou, second.recall, second.precision) == pytest.approx((5 / 20, 5 / 10, 5 / 15))
    assert (missed.iou, missed.recall, missed.precision) == (0.0, 0.0, None)
    assert (absent.iou, absent.recall, absent.precision, absent.share) == (None, None, None, 0.0)


def test_pairs_that_cost_most_come_first() -> None:
    pairs = confused_pairs(make_truth({(0, 0): 90, (0, 1): 10, (1, 1): 5, (1, 9): 15, (2, 0): 1}, 3))
    assert [(p.truth, p.prediction) for p in pairs] == [
        ("class 1", NONE_OF_THEM),
        ("class 0", "class 1"),
        ("class 2", "class 0"),
    ]
    assert pairs[0].share == pytest.approx(15 / 20)
    assert pairs[0].share_of_all == pytest.approx(15 / 121)


def test_rows_of_the_matrix_add_up_to_one() -> None:
    matrix = shown_matrix(make_truth({(0, 0): 3, (0, 1): 1, (1, 9): 2, (3, 3): 1}, 4))
    assert matrix.rows == ("class 0", "class 1", "class 3")  # nobody has class 2
    assert matrix.columns == (*matrix.rows, NONE_OF_THEM)
    assert matrix.values.tolist() == [[0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
    assert matrix.hidden == 0


def test_of_many_classes_the_most_confused_are_shown() -> None:
    pairs = {(k, k): 100 for k in range(150)} | {(k, 149 - k): 50 for k in range(10, 20)} | {(0, 20): 49}
    matrix = shown_matrix(make_truth(pairs, 150))
    assert len(matrix.rows) == MAX_SHOWN
    assert matrix.hidden == 150 - MAX_SHOWN
    assert {f"class {k}" for k in (0, *range(10, 21), *range(130, 140))} <= set(matrix.rows)
    assert np.nansum(matrix.values, axis=1) == pytest.approx(1.0)
    assert OTHERS not in matrix.columns  # nothing shown is taken for what is not


def test_what_is_not_shown_is_one_column() -> None:
    pairs = {(k, k): 1 for k in range(40)} | {(0, k): 2 for k in range(1, 40)}
    matrix = shown_matrix(make_truth(pairs, 40))
    assert matrix.columns[-1] == OTHERS
    assert matrix.values[0, -1] == pytest.approx(2 * (40 - MAX_SHOWN) / 79)


def test_a_class_that_only_masks_have_has_a_row_of_nothing() -> None:
    matrix = shown_matrix(make_truth({(0, 1): 4}, 2))
    assert np.isnan(matrix.values[1]).all()
    assert matrix.values[0].tolist() == [0.0, 1.0]

from __future__ import annotations

import pytest
import torch

from errseg_model.network.crm import class_counts, select_classes


def cost_of_places(places: list[list[int]], classes: int) -> torch.Tensor:
    """(1, T, 1, pixels) cost maps in which pixel p ranks the classes as `places[p]`, best first."""
    cost = torch.zeros(1, classes, 1, len(places))
    for pixel, order in enumerate(places):
        for rank, index in enumerate(order):
            cost[0, index, 0, pixel] = 1 - rank / 10
    return cost


def test_counts_are_1_a_tenth_and_a_hundredth() -> None:
    cost = cost_of_places([[0, 1, 2], [0, 2, 1], [3, 0, 1]], 5)
    assert class_counts(cost).tolist() == [[210, 12, 11, 100, 0]]


@pytest.mark.parametrize("classes", [1, 2])
def test_fewer_than_three_classes_have_fewer_places(classes: int) -> None:
    cost = cost_of_places([list(range(classes))] * 4, classes)
    assert class_counts(cost).tolist() == [[400, 40][:classes]]


@pytest.mark.parametrize(
    ("max_classes", "expected"),
    [(1, [0]), (2, [0, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])],
)
def test_keeps_the_highest_counts_in_ascending_order(max_classes: int, expected: list[int]) -> None:
    cost = cost_of_places([[0, 1, 2], [0, 2, 1], [3, 0, 1]], 5)
    assert select_classes(cost, max_classes).tolist() == [expected]


def test_equal_counts_go_to_the_first_class() -> None:
    cost = cost_of_places([[2, 0, 1], [3, 1, 0]], 4)
    assert select_classes(cost, 1).tolist() == [[2]]


def test_each_image_of_a_batch_chooses_for_itself() -> None:
    cost = torch.cat([cost_of_places([[0, 1, 2]], 6), cost_of_places([[5, 4, 3]], 6)])
    assert select_classes(cost, 2).tolist() == [[0, 1], [4, 5]]


def test_classes_to_keep_stay_even_when_they_are_more_than_k() -> None:
    cost = cost_of_places([[0, 1, 2]] * 3, 6)
    keep = torch.tensor([[False, False, False, True, True, True]])
    assert select_classes(cost, 4, keep).tolist() == [[0, 3, 4, 5]]
    assert select_classes(cost, 2, keep).tolist() == [[3, 4, 5]]


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        select_classes(torch.zeros(1, 3, 2, 2), 0)

from __future__ import annotations

import pytest
import torch

from errseg_model.network.crm import HOLD, class_counts, rank_classes, select_classes


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


def test_classes_to_keep_come_first_whatever_their_votes() -> None:
    cost = cost_of_places([[0, 1, 2]] * 3, 6)
    keep = torch.tensor([[False, False, False, True, True, True]])
    ranked = rank_classes(class_counts(cost), keep)
    assert ranked[:, :4].sort().values.tolist() == [[0, 3, 4, 5]]
    assert ranked[:, :3].sort().values.tolist() == [[3, 4, 5]]


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        select_classes(torch.zeros(1, 3, 2, 2), 0)


def random_cost(seed: int, batch: int, classes: int, places: int = 60) -> torch.Tensor:
    """A few classes that share the places, and many that are rarely among the best."""
    generator = torch.Generator().manual_seed(seed)
    cost = torch.randn(batch, classes, 1, places, generator=generator)
    return cost + torch.linspace(2, 0, classes)[None, :, None, None] * (1 + seed % 3)


def shares(cost: torch.Tensor) -> torch.Tensor:
    counts = class_counts(cost).double()
    return counts / counts.sum(dim=1, keepdim=True)


def membership(classes: int, *rows: list[int]) -> torch.Tensor:
    member = torch.zeros(len(rows), classes, dtype=torch.bool)
    for row, positions in zip(member, rows, strict=True):
        row[positions] = True
    return member


CASES = [
    (seed, classes, k) for seed in range(6) for classes, k in ((1, 1), (2, 5), (3, 2), (12, 5), (12, 12), (40, 32))
]


@pytest.mark.parametrize(("seed", "classes", "k"), CASES)
def test_without_a_least_share_the_selection_is_the_papers(seed: int, classes: int, k: int) -> None:
    cost = random_cost(seed, 2, classes)
    previous = membership(classes, [classes - 1], [])
    by_count = class_counts(cost).argsort(dim=1, descending=True, stable=True)[:, :k].sort(dim=1).values
    assert torch.equal(select_classes(cost, k), by_count)
    assert torch.equal(select_classes(cost, k, previous=previous), by_count)


@pytest.mark.parametrize("min_share", [1e-4, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize(("seed", "classes", "k"), CASES)
def test_a_least_share_keeps_exactly_the_classes_that_have_it(
    seed: int, classes: int, k: int, min_share: float
) -> None:
    cost = random_cost(seed, 1, classes)
    selected = select_classes(cost, k, min_share=min_share)[0].tolist()
    fixed, share = select_classes(cost, k)[0].tolist(), shares(cost)[0]
    best = int(class_counts(cost)[0].argmax())
    assert selected == [index for index in fixed if share[index] >= min_share or index == best]


@pytest.mark.parametrize(("seed", "classes", "k"), CASES)
def test_a_class_of_the_frame_before_stays_down_to_half_the_share(seed: int, classes: int, k: int) -> None:
    cost, min_share = random_cost(seed, 1, classes), 0.06
    share, fixed = shares(cost)[0], select_classes(cost, k)[0].tolist()
    before = [index for index in range(classes) if index % 2]
    selected = select_classes(cost, k, min_share=min_share, previous=membership(classes, before))[0].tolist()
    best = int(class_counts(cost)[0].argmax())
    least = {index: HOLD * min_share if index in before else min_share for index in range(classes)}
    assert selected == [index for index in fixed if share[index] >= least[index] or index == best]
    again = select_classes(cost, k, min_share=min_share, previous=membership(classes, selected))[0].tolist()
    assert selected == again  # the same image once more: nothing comes, nothing goes


def test_a_class_between_the_thresholds_does_not_blink() -> None:
    """Of 20 places it has 3, 2, 3, 2, 1 and 2: shares 0.135, 0.09, 0.135, 0.09, 0.045, 0.09."""
    seen: dict[bool, list[bool]] = {False: [], True: []}
    for held in (False, True):
        previous = None
        for places in (3, 2, 3, 2, 1, 2):
            cost = cost_of_places([[1, 0, 2]] * places + [[0, 2, 3]] * (20 - places), 5)
            selected = select_classes(cost, 5, min_share=0.12, previous=previous)[0].tolist()
            previous = membership(5, selected) if held else None
            seen[held].append(1 in selected)
    assert seen == {False: [True, False, True, False, False, False], True: [True, True, True, True, False, False]}


def test_images_that_have_each_their_own_k_are_no_batch() -> None:
    with pytest.raises(ValueError, match="expected one at a time, got 2"):
        select_classes(torch.zeros(2, 3, 1, 4), 2, min_share=0.1)


def test_a_held_class_goes_before_a_larger_one_that_has_too_little() -> None:
    cost = cost_of_places([[0, 1, 2]] * 15 + [[3, 0, 1]] * 3 + [[4, 0, 1]] * 2, 5)
    selected = select_classes(cost, 5, min_share=0.15, previous=membership(5, [4]))
    assert selected.tolist() == [[0, 4]]

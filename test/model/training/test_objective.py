"""Which classes a step looks at."""

from __future__ import annotations

import torch

from errseg_model.training.objective import draw_classes

NOBODY = torch.zeros(2, 8, dtype=torch.bool)


def test_classes_in_the_picture_stay_and_others_are_drawn() -> None:
    votes = torch.tensor([[9, 8, 7, 6, 5, 4, 3, 2], [0, 2, 4, 6, 8, 8, 6, 4]])
    present = NOBODY.clone()
    present[0, 7] = present[1, [0, 1]] = True
    uniform = torch.full((8,), 1e-6)
    uniform[4] = 1.0
    assert draw_classes(votes, present, uniform, 8, 2).tolist() == [[4, 7], [0, 1]]
    assert draw_classes(votes, present, uniform, 8, 3).tolist() == [[0, 4, 7], [0, 1, 4]]
    for count in (8, 9):
        assert draw_classes(votes, present, uniform, 9, count).tolist() == [[*range(8)]] * 2


def test_nothing_is_drawn_where_candidates_are_as_many_as_stay() -> None:
    """The paper's reduction: of equal votes the class that comes first."""
    votes = torch.tensor([[9, 8, 7, 6, 5, 4, 3, 2], [0, 2, 4, 6, 8, 8, 6, 4]])
    for seed in range(5):
        uniform = 1 - torch.rand(8, generator=torch.Generator().manual_seed(seed))
        assert draw_classes(votes, NOBODY, uniform, 3, 3).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_class_with_few_votes_is_looked_at_too() -> None:
    """One of many classes is drawn with the weight of its place, 1 / sqrt(n)."""
    votes, present = torch.arange(300, 50, -1)[None], torch.zeros(1, 250, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    draws = [draw_classes(votes, present, 1 - torch.rand(250, generator=generator), 250, 1) for _ in range(4000)]
    seen = torch.bincount(torch.cat(draws)[:, 0], minlength=250).float()
    weights = torch.arange(1, 251).rsqrt()
    expected = 4000 * weights / weights.sum()
    for places in (slice(0, 10), slice(10, 50), slice(50, 250)):
        torch.testing.assert_close(seen[places].sum(), expected[places].sum(), rtol=0.1, atol=0)

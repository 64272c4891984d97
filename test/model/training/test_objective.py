"""Which classes a step looks at."""

from __future__ import annotations

import torch

from errseg_model.training.objective import draw_classes


def test_classes_in_the_picture_stay_and_others_are_drawn_by_rank() -> None:
    candidates = torch.tensor([[0, 1, 4, 6, 7], [1, 2, 3, 5, 6]])
    present = torch.zeros(2, 8, dtype=torch.bool)
    present[0, 6] = present[1, [1, 3]] = True
    rank = torch.tensor([7, 6, 0, 1, 2, 3, 5, 4])
    assert draw_classes(candidates, present, rank, 3).tolist() == [[4, 6, 7], [1, 2, 3]]
    assert draw_classes(candidates, present, rank, 5).tolist() == candidates.tolist()


def test_a_class_with_few_votes_is_looked_at_as_often_as_one_with_many() -> None:
    """Candidates stand in the order of their numbers, and nothing but the rank of the step chooses among them."""
    candidates, present = torch.arange(32)[None], torch.zeros(1, 32, dtype=torch.bool)
    present[0, :6] = True
    rng = torch.Generator().manual_seed(0)
    drawn = [draw_classes(candidates, present, torch.randperm(32, generator=rng), 14) for _ in range(400)]
    seen = torch.bincount(torch.cat(drawn, dim=1)[0], minlength=32)
    assert (seen[:6] == 400).all()
    assert (seen[6:] - 400 * 8 / 26).abs().max() < 40

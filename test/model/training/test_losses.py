"""What training minimises."""

from __future__ import annotations

import pytest
import torch

from errseg_model.network.errseg import ERRSegOutput
from errseg_model.network.hsm import CostMaps
from errseg_model.training.losses import Processes, cost_loss, segmentation_losses
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import NO_CLASS, StepVocabulary

VOID = 2
WEIGHTS = torch.tensor([1.0, 1.0, 0.0])


@pytest.fixture
def vocabulary() -> StepVocabulary:
    """Two classes and two distractors, the first of which is related to class 1."""
    return StepVocabulary(
        entries=(("a",), ("b",), ("c",), ("d",)),
        class_of=torch.tensor([0, 1, NO_CLASS, NO_CLASS]),
        relative_of=torch.tensor([NO_CLASS, NO_CLASS, 1, NO_CLASS]),
        shift=None,
    )


@pytest.fixture
def labels() -> torch.Tensor:
    """Class 0 above class 1."""
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, 4:] = 1
    return labels


def output_of(labels: torch.Tensor, selected: list[int], strength: float) -> ERRSegOutput:
    """Logits and cost maps that say `strength` where a class is and `-strength` elsewhere."""
    maps = torch.stack([(labels == index).float() * 2 - 1 for index in range(4)], dim=1) * strength
    return ERRSegOutput(maps[:, selected], torch.tensor([selected]), CostMaps(maps, maps[:, :, ::2, ::2]))


def loss(
    output: ERRSegOutput, labels: torch.Tensor, vocabulary: StepVocabulary, recipe: TrainingRecipe
) -> torch.Tensor:
    return sum(segmentation_losses(output, labels, vocabulary, WEIGHTS, recipe, Processes()), torch.zeros(()))


def test_losses_are_small_when_right_and_large_when_wrong(
    recipe: TrainingRecipe, vocabulary: StepVocabulary, labels: torch.Tensor
) -> None:
    right, wrong = output_of(labels, [0, 1, 3], 8.0), output_of(1 - labels, [0, 1, 3], 8.0)
    assert loss(right, labels, vocabulary, recipe) < 0.01 and loss(wrong, labels, vocabulary, recipe) > 5
    assert cost_loss(right, labels, vocabulary, WEIGHTS, Processes()) < 0.01
    assert cost_loss(wrong, labels, vocabulary, WEIGHTS, Processes()) > 5


def test_void_does_not_count(recipe: TrainingRecipe, vocabulary: StepVocabulary, labels: torch.Tensor) -> None:
    voided = labels.clone()
    voided[:, :, 4:] = VOID
    wrong_there = output_of(torch.where(voided == VOID, 1 - labels, labels), [0, 1], 8.0)
    for output in (output_of(labels, [0, 1], 8.0), wrong_there):
        assert loss(output, voided, vocabulary, recipe) < 0.01
        assert cost_loss(output, voided, vocabulary, WEIGHTS, Processes()) < 0.01


def test_nothing_but_void_is_no_loss_and_no_nan(recipe: TrainingRecipe, vocabulary: StepVocabulary) -> None:
    labels = torch.full((1, 8, 8), VOID)
    output = output_of(labels, [0, 1], 8.0)
    assert loss(output, labels, vocabulary, recipe) == 0
    assert cost_loss(output, labels, vocabulary, WEIGHTS, Processes()) == 0


def test_a_related_word_costs_less_where_its_relative_stands(
    recipe: TrainingRecipe, vocabulary: StepVocabulary
) -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.int64)
    maps = torch.full((1, 2, 8, 8), 4.0)  # class 1, rightly, and a distractor, wrongly, everywhere
    related, unrelated = (ERRSegOutput(maps, torch.tensor([[1, other]]), CostMaps(maps, maps)) for other in (2, 3))
    assert loss(related, labels, vocabulary, recipe) < 0.5 * loss(unrelated, labels, vocabulary, recipe)


@pytest.mark.parametrize(("word", "costs"), [(2, False), (3, True)])
def test_a_related_word_does_not_compete_in_the_cost_maps_where_its_relative_stands(
    vocabulary: StepVocabulary, word: int, costs: bool
) -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.int64)
    maps = torch.full((1, 4, 8, 8), -1.0)
    maps[:, [1, word]] = 1.0
    output = ERRSegOutput(maps[:, :1], torch.tensor([[1]]), CostMaps(maps, maps))
    assert (cost_loss(output, labels, vocabulary, WEIGHTS, Processes()) > 0.5) == costs


@pytest.mark.parametrize(("wanted", "other"), [(1, 0), (0, 1)])
def test_a_rare_class_gets_the_votes_of_places_that_it_fills_in_part(
    vocabulary: StepVocabulary, wanted: int, other: int
) -> None:
    """A column of one pixel in places of four: a quarter of each place, and eight times rarer than the other class."""
    labels = torch.full((1, 8, 8), other)
    labels[:, :, ::4] = wanted
    weights = torch.tensor([1.0, 1.0, 0.0])
    weights[wanted] = 8.0**0.5
    maps = torch.full((1, 4, 2, 2), -1.0)
    costs = []
    for best in (wanted, other):
        said = maps.clone()
        said[:, best] = 0.0
        output = ERRSegOutput(maps[:, :1], torch.tensor([[0]]), CostMaps(said, said))
        costs.append(cost_loss(output, labels, vocabulary, weights, Processes()))
    assert costs[0] < 0.6 * costs[1]


def test_a_mean_over_processes_is_that_of_all_their_pixels() -> None:
    """Two processes with 30 of 10 and 10 of 30: the average of their shares, as of gradients, is 40 / 40."""
    shares = [
        Processes(2, sum=lambda count: torch.tensor(40.0)).mean(torch.tensor(total), torch.tensor(count))
        for total, count in ((30.0, 10.0), (10.0, 30.0))
    ]
    assert sum(shares) / 2 == 1.0

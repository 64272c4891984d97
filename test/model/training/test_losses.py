"""What training minimises."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from errseg_model.network.errseg import ERRSegOutput
from errseg_model.network.hsm import CostMaps
from errseg_model.training.losses import Processes, cost_loss, segmentation_losses, teacher_loss
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import NO_CLASS, StepVocabulary

VOID = 2
WEIGHTS = torch.tensor([1.0, 1.0, 0.0])


@pytest.fixture
def vocabulary() -> StepVocabulary:
    """Two classes and two distractors, the first of which is related to both."""
    return StepVocabulary(
        entries=(("a",), ("b",), ("c",), ("d",)),
        class_of=torch.tensor([0, 1, NO_CLASS, NO_CLASS]),
        relatives_of=torch.tensor([[NO_CLASS, NO_CLASS], [NO_CLASS, NO_CLASS], [1, 0], [NO_CLASS, NO_CLASS]]),
        max_classes=4,
        uniform=torch.ones(4),
        shift=None,
        name_shift=torch.zeros(1000, 4),
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
    assert cost_loss(right, labels, vocabulary, WEIGHTS, recipe, Processes()) < 0.01
    assert cost_loss(wrong, labels, vocabulary, WEIGHTS, recipe, Processes()) > 5


def test_void_does_not_count(recipe: TrainingRecipe, vocabulary: StepVocabulary, labels: torch.Tensor) -> None:
    voided = labels.clone()
    voided[:, :, 4:] = VOID
    wrong_there = output_of(torch.where(voided == VOID, 1 - labels, labels), [0, 1], 8.0)
    for output in (output_of(labels, [0, 1], 8.0), wrong_there):
        assert loss(output, voided, vocabulary, recipe) < 0.01
        assert cost_loss(output, voided, vocabulary, WEIGHTS, recipe, Processes()) < 0.01


def test_nothing_but_void_is_no_loss_and_no_nan(recipe: TrainingRecipe, vocabulary: StepVocabulary) -> None:
    labels = torch.full((1, 8, 8), VOID)
    output = output_of(labels, [0, 1], 8.0)
    assert loss(output, labels, vocabulary, recipe) == 0
    assert cost_loss(output, labels, vocabulary, WEIGHTS, recipe, Processes()) == 0


def test_a_related_word_costs_less_where_its_relative_stands(
    recipe: TrainingRecipe, vocabulary: StepVocabulary
) -> None:
    maps = torch.full((1, 2, 8, 8), 4.0)  # the class, rightly, and a distractor, wrongly, everywhere
    for name in (0, 1):
        labels = torch.full((1, 8, 8), name)
        related, unrelated = (ERRSegOutput(maps, torch.tensor([[name, word]]), CostMaps(maps, maps)) for word in (2, 3))
        assert loss(related, labels, vocabulary, recipe) < 0.5 * loss(unrelated, labels, vocabulary, recipe)


@pytest.mark.parametrize(
    ("word", "related_weight", "likelihood"), [(2, 0.25, 0.8), (2, 1.0, 0.5), (2, 0.0, 1.0), (3, 0.25, 0.5)]
)
def test_a_related_word_competes_less_in_the_cost_maps_where_its_relative_stands(
    recipe: TrainingRecipe, vocabulary: StepVocabulary, word: int, related_weight: float, likelihood: float
) -> None:
    recipe = dataclasses.replace(recipe, related_weight=related_weight)
    for name in (0, 1):
        labels = torch.full((1, 8, 8), name)
        maps = torch.full((1, 4, 8, 8), -1.0)
        maps[:, [name, word]] = 1.0
        output = ERRSegOutput(maps[:, :1], torch.tensor([[name]]), CostMaps(maps, maps))
        cost = cost_loss(output, labels, vocabulary, WEIGHTS, recipe, Processes())
        assert torch.exp(-cost).item() == pytest.approx(likelihood, abs=1e-3)


def test_what_the_teacher_named_counts_as_a_class(
    recipe: TrainingRecipe, vocabulary: StepVocabulary, labels: torch.Tensor
) -> None:
    """Entry 3 is name 5 of ImageNet, label VOID + 1 + 5, and stands where class 1 did."""
    vocabulary = dataclasses.replace(vocabulary, class_of=torch.tensor([0, 1, NO_CLASS, VOID + 6]))
    weights = torch.cat([WEIGHTS, torch.ones(1000)])
    named = torch.where(labels == 1, VOID + 6, 0)
    for entry, right in ((3, True), (1, False)):
        output = output_of(torch.where(labels == 1, entry, 0), [0, 1, 3], 8.0)
        terms = [
            *segmentation_losses(output, named, vocabulary, weights, recipe, Processes()),
            cost_loss(output, named, vocabulary, weights, recipe, Processes()),
        ]
        assert all(bool(term < 0.02) if right else bool(term > 0.5) for term in terms), (entry, terms)


def test_the_maps_of_names_follow_the_teacher() -> None:
    said = torch.zeros(1, 1000, 2, 2)
    said[0, [3, 4], 0], said[0, 9, 1] = 0.5, 1.0
    maps = torch.full((1, 1000, 2, 2), -1.0)
    maps[0, [3, 4], 0], maps[0, 9, 1] = 1.0, 1.0
    mean = maps.mean((2, 3), keepdim=True)
    follow = teacher_loss(CostMaps(maps, mean), said, Processes())
    swapped = teacher_loss(CostMaps(maps.flip(2), mean), said, Processes())
    assert follow < 2 and swapped > follow + 5


@pytest.mark.parametrize(("wanted", "other"), [(1, 0), (0, 1)])
def test_a_rare_class_gets_the_votes_of_places_that_it_fills_in_part(
    recipe: TrainingRecipe, vocabulary: StepVocabulary, wanted: int, other: int
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
        costs.append(cost_loss(output, labels, vocabulary, weights, recipe, Processes()))
    assert costs[0] < 0.6 * costs[1]


def test_a_mean_over_processes_is_that_of_all_their_pixels() -> None:
    """Two processes with 30 of 10 and 10 of 30: the average of their shares, as of gradients, is 40 / 40."""
    shares = [
        Processes(2, sum=lambda count: torch.tensor(40.0)).mean(torch.tensor(total), torch.tensor(count))
        for total, count in ((30.0, 10.0), (10.0, 30.0))
    ]
    assert sum(shares) / 2 == 1.0

"""The training of errseg-lite, for real and for a few steps."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from errseg_model import InputError, create_model
from errseg_model.config import model_config
from errseg_model.datasets.camvid import CLASSES, VOID
from errseg_model.network.errseg import ERRSegOutput
from errseg_model.network.hsm import CostMaps
from errseg_model.text.minilm import MiniLMTextTower
from errseg_model.training.augmentation import crop
from errseg_model.training.losses import cost_loss, segmentation_loss
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.trainer import Trainer
from errseg_model.training.words import NO_CLASS, StepVocabulary, WordSampler

ROOT = Path(__file__).parents[3]


@pytest.fixture
def recipe(tiny_camvid: Path) -> TrainingRecipe:
    """The project's recipe on tiny pictures, for a few small steps."""
    return dataclasses.replace(
        TrainingRecipe.read(ROOT / "config/training/errseg-lite.yaml"),
        camvid_root=str(tiny_camvid),
        words=str(ROOT / "config/training/driving_words.yaml"),
        sample_drive_frames=2,
        steps=6,
        warmup_steps=1,
        decay_steps=1,
        batch_size=2,
        crop=(64, 64),
        ema_decay=0.5,
    )


def test_training_lowers_the_loss_and_resumes_to_the_same_weights(recipe: TrainingRecipe, tmp_path: Path) -> None:
    whole = Trainer(recipe, tmp_path / "whole")
    file = whole.run()
    Trainer(recipe, tmp_path / "parts").run(until=3)
    again = Trainer(recipe, tmp_path / "parts")
    assert again.step == 3
    again.run()
    for name, tensor in whole.model.network.state_dict().items():
        torch.testing.assert_close(again.model.network.state_dict()[name], tensor, msg=name)
    create_model("errseg-lite", file)  # what a user loads

    longer = Trainer(dataclasses.replace(recipe, steps=20, sample_drive_frames=0), tmp_path / "longer")
    longer.run()
    rows = np.loadtxt(tmp_path / "longer" / "log.csv", delimiter=",")
    assert rows[-1, 2:].sum() < 0.9 * rows[0, 2:].sum()


def test_test_split_is_never_trained_on(recipe: TrainingRecipe) -> None:
    with pytest.raises(InputError, match="for measuring only"):
        dataclasses.replace(recipe, splits=("train", "test"))


def test_recipe_must_be_complete(tmp_path: Path) -> None:
    text = (ROOT / "config/training/errseg-lite.yaml").read_text()
    (tmp_path / "r.yaml").write_text(text.replace("seed: 1", "sead: 1"))
    with pytest.raises(InputError, match="unknown fields: sead, seed"):
        TrainingRecipe.read(tmp_path / "r.yaml")


def test_learning_rate_warms_up_stays_and_falls(recipe: TrainingRecipe) -> None:
    longer = dataclasses.replace(recipe, steps=100, warmup_steps=10, decay_steps=20)
    factors = [longer.learning_rate_factor(step) for step in (0, 4, 9, 50, 80, 90, 100)]
    assert factors == pytest.approx([0.1, 0.5, 1, 1, 1, 0.5, 0])


def test_words_are_drawn_anew_and_mark_their_relatives() -> None:
    words = WordSampler(ROOT / "config/training/driving_words.yaml", CLASSES, MiniLMTextTower())
    first, second = words.draw(random.Random(1), 5), words.draw(random.Random(2), 5)
    assert first.class_of.tolist() == [*range(11), *[NO_CLASS] * 5]
    assert first.embeddings.shape == (16, 384)
    assert not torch.equal(first.embeddings[:11], second.embeddings[:11])
    assert (first.relative_of[:11] == NO_CLASS).all() and (first.relative_of[11:14] >= 0).all()
    torch.testing.assert_close(words.draw(random.Random(1), 5).embeddings, first.embeddings)


def test_crops_keep_picture_and_labels_together(recipe: TrainingRecipe) -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[30:, 40:] = 3
    image = np.repeat(labels[..., None] * 60, 3, axis=2)  # what is 3 is bright
    config = model_config("errseg-lite")
    for number in range(20):
        pixels, ids = crop(image, labels, recipe, config.input_size, VOID, np.random.default_rng(number))
        assert pixels.shape == (64, 64, 3) and ids.shape == (64, 64)
        bright = pixels.mean(axis=2)
        if {0, 3} <= set(np.unique(ids).tolist()):
            assert bright[ids == 3].mean() > bright[ids == 0].mean() + 30


@pytest.fixture
def vocabulary() -> StepVocabulary:
    """Two classes and two distractors, the first of which is related to class 1."""
    return StepVocabulary(
        embeddings=torch.eye(4),
        class_of=torch.tensor([0, 1, NO_CLASS, NO_CLASS]),
        relative_of=torch.tensor([NO_CLASS, NO_CLASS, 1, NO_CLASS]),
    )


def output_of(labels: torch.Tensor, selected: list[int], strength: float) -> ERRSegOutput:
    """Logits and cost maps that say `strength` where a class is and `-strength` elsewhere."""
    maps = torch.stack([(labels == index).float() * 2 - 1 for index in range(4)], dim=1) * strength
    kept = torch.tensor([selected])
    return ERRSegOutput(maps[:, selected], kept, CostMaps(maps, maps[:, :, ::2, ::2]))


WEIGHTS = torch.tensor([1.0, 1.0, *[0.0] * (VOID - 1)])


def test_losses_are_small_when_right_and_large_when_wrong(recipe: TrainingRecipe, vocabulary: StepVocabulary) -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, 4:] = 1
    right, wrong = output_of(labels, [0, 1, 3], 8.0), output_of(1 - labels, [0, 1, 3], 8.0)
    assert segmentation_loss(right, labels, vocabulary, WEIGHTS, recipe) < 0.01
    assert segmentation_loss(wrong, labels, vocabulary, WEIGHTS, recipe) > 5
    assert cost_loss(right, labels, vocabulary, WEIGHTS) < 0.01 < 5 < cost_loss(wrong, labels, vocabulary, WEIGHTS)


def test_void_does_not_count(recipe: TrainingRecipe, vocabulary: StepVocabulary) -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, 4:] = 1
    output = output_of(labels, [0, 1], 8.0)
    voided = labels.clone()
    voided[:, :, 4:] = VOID
    wrong_there = output_of(torch.where(voided == VOID, 1 - labels, labels), [0, 1], 8.0)
    for one in (output, wrong_there):
        assert segmentation_loss(one, voided, vocabulary, WEIGHTS, recipe) < 0.01
        assert cost_loss(one, voided, vocabulary, WEIGHTS) < 0.01


def test_a_related_word_costs_less_where_its_relative_stands(
    recipe: TrainingRecipe, vocabulary: StepVocabulary
) -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.int64)
    maps = torch.full((1, 2, 8, 8), 4.0)  # class 1, rightly, and a distractor, wrongly, everywhere
    cost = CostMaps(maps, maps)
    related = ERRSegOutput(maps, torch.tensor([[1, 2]]), cost)
    unrelated = ERRSegOutput(maps, torch.tensor([[1, 3]]), cost)
    assert segmentation_loss(related, labels, vocabulary, WEIGHTS, recipe) < 0.5 * segmentation_loss(
        unrelated, labels, vocabulary, WEIGHTS, recipe
    )

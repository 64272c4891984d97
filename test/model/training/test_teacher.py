"""What ImageNet's classifier says place by place, and the labels that come of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from errseg_model.factory import create_model
from errseg_model.network.image_tower import EfficientNetLiteTower
from errseg_model.training.prototypes import load_imagenet_weights
from errseg_model.training.teacher import ImageNetTeacher, name_void

VOID = 2


@pytest.fixture(scope="module")
def tower() -> EfficientNetLiteTower:
    tower = create_model("errseg-lite", random_weights=True).network.hsm.image_tower
    assert isinstance(tower, EfficientNetLiteTower)
    return tower


@pytest.fixture(scope="module")
def teacher(tower: EfficientNetLiteTower) -> ImageNetTeacher:
    return ImageNetTeacher(tower, *load_imagenet_weights(tower))


def test_it_says_what_the_classifier_says_of_a_picture_of_one_place(tower: EfficientNetLiteTower) -> None:
    weight, bias = load_imagenet_weights(tower)
    images = torch.rand(2, 3, 32, 32)
    trunk = tower.trunk.eval()
    with torch.no_grad():
        coarse = F.linear(trunk.forward_head(trunk.forward_features(images)), weight, bias).softmax(1)
        said = ImageNetTeacher(tower, weight, bias)(images)
    assert said.shape == (2, 1000, 2, 2)
    fine = 2 * said - coarse[:, :, None, None]  # the other half of the mean is a distribution, too
    torch.testing.assert_close(fine.sum(1), torch.ones(2, 2, 2), rtol=0, atol=1e-4)
    assert fine.min() > -1e-5


def test_it_neither_learns_nor_follows_the_tower_that_does(
    teacher: ImageNetTeacher, tower: EfficientNetLiteTower
) -> None:
    images = torch.rand(1, 3, 64, 96)
    before = teacher(images)
    assert not before.requires_grad and not any(parameter.requires_grad for parameter in teacher.parameters())
    with torch.no_grad():
        tower.trunk.conv_stem.weight.mul_(2)
    torch.testing.assert_close(teacher.train()(images), before, rtol=0, atol=0)
    assert not any(module.training for module in teacher.modules())


def said_of(places: dict[tuple[int, int], tuple[int, float]]) -> torch.Tensor:
    """(1, 1000, 2, 3): the name and its probability at some places; elsewhere all names are alike."""
    said = torch.full((1, 1000, 2, 3), 0.001)
    for (row, column), (name, probability) in places.items():
        said[0, :, row, column] = (1 - probability) / 999
        said[0, name, row, column] = probability
    return said


def test_void_gets_the_name_that_the_teacher_is_sure_of() -> None:
    labels = torch.full((1, 32, 48), VOID)
    labels[:, :, 32:] = 1
    said = said_of({(0, 0): (7, 0.5), (0, 1): (8, 0.2), (1, 0): (9, 0.9), (0, 2): (7, 0.9)})
    allowed = torch.ones(1000, dtype=torch.bool)
    allowed[9] = False
    named = name_void(labels, said, VOID, allowed, threshold=0.3)
    assert (named[:, :16, :16] == VOID + 1 + 7).all()
    assert (named[:, :16, 16:32] == VOID).all(), "too unsure"
    assert (named[:, 16:, :32] == VOID).all(), "stands for a class, or unsure"
    assert (named[:, :, 32:] == 1).all(), "what is labelled stays"


def test_what_is_smaller_than_a_place_stays_void() -> None:
    labels = torch.ones(1, 32, 48, dtype=torch.int64)
    labels[:, :12, :32] = VOID
    said = said_of({(0, 0): (7, 0.9), (0, 1): (8, 0.9)})
    everything = torch.ones(1000, dtype=torch.bool)
    assert torch.equal(name_void(labels, said, VOID, everything, 0.3), labels)
    same = said_of({(0, 0): (7, 0.9), (0, 1): (7, 0.9)})
    assert (name_void(labels, same, VOID, everything, 0.3)[:, :12, :32] == VOID + 1 + 7).all()

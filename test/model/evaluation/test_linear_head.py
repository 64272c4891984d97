"""A closed-set head on the model's embeddings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from errseg_model import Segmenter
from errseg_model.datasets import Dataset, create_dataset
from errseg_model.errors import InputError
from errseg_model.evaluation.linear_head import PENALTY, LinearHead, _labels_of_places, _logistic_regression
from errseg_model.letterbox import computed_size, fitted_size

SKY, ROAD = 0, 3


@pytest.fixture
def pictures(tiny_camvid: Path) -> Dataset:
    """Three pictures, blue sky over grey road."""
    return create_dataset("camvid", tiny_camvid, "train")


def test_a_head_learns_what_it_is_shown(random_lite: Segmenter, pictures: Dataset) -> None:
    head = LinearHead.train(random_lite, pictures, held_out=[])
    assert head.classes == tuple(range(11)) and head.weight.shape == (11, 384) and head.bias.shape == (11,)
    assert head.measure(random_lite, pictures).pixel_accuracy() > 0.9
    mask = head.segment(random_lite, pictures[0].image)
    assert mask.shape == (36, 48) and mask[0, 24] == SKY and mask[35, 24] == ROAD


def test_a_class_that_is_held_out_is_never_said(random_lite: Segmenter, pictures: Dataset) -> None:
    head = LinearHead.train(random_lite, pictures, held_out=["road", "fence"])
    assert ROAD not in head.classes and len(head.classes) == 9
    confusion = head.measure(random_lite, pictures)
    assert confusion.counts[:, ROAD].sum() == 0 and confusion.iou()[ROAD] == 0
    # Sky is all that it was shown.
    assert confusion.counts[ROAD, SKY] == confusion.counts[ROAD].sum() > 0


def test_labels_that_are_held_out_have_no_part_in_the_fit(
    random_lite: Segmenter, pictures: Dataset, tiny_camvid: Path
) -> None:
    without = LinearHead.train(random_lite, pictures, held_out=["road"])
    for path in (tiny_camvid / "train/labels").iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert labels is not None
        cv2.imwrite(str(path), np.where(labels == ROAD, 11, labels))
    void = LinearHead.train(random_lite, pictures, held_out=["road"])
    assert torch.equal(without.weight, void.weight) and torch.equal(without.bias, void.bias)


def test_the_same_places_fit_the_same_head_and_leave_the_model_alone(
    random_lite: Segmenter, pictures: Dataset, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("errseg_model.evaluation.linear_head.PLACES_OF_AN_IMAGE", 5)
    before = random_lite.embed_image(image)
    first, again = (LinearHead.train(random_lite, pictures, []) for _ in range(2))
    monkeypatch.setattr("errseg_model.evaluation.linear_head.SEED", 1)
    other = LinearHead.train(random_lite, pictures, [])
    assert torch.equal(first.weight, again.weight) and not torch.equal(first.weight, other.weight)
    assert torch.equal(random_lite.embed_image(image), before)


def test_nothing_to_learn_is_said(random_lite: Segmenter, pictures: Dataset) -> None:
    with pytest.raises(InputError, match="no place of 3 images shows a class that a linear head could learn"):
        LinearHead.train(random_lite, pictures, held_out=["sky", "road"])


@pytest.mark.parametrize(
    ("fitted", "rows", "columns"),
    [((64, 96), [4, 13, 22, 31], [4, 12, 20, 28, 36, 44]), ((36, 48), [8, 24], [8, 24, 40])],
)
def test_a_place_has_the_label_of_the_pixel_in_its_middle(
    fitted: tuple[int, int], rows: list[int], columns: list[int]
) -> None:
    labels = np.arange(36 * 48).reshape(36, 48)
    assert (_labels_of_places(labels, fitted) == labels[np.ix_(rows, columns)]).all()


def test_a_letterboxed_picture_is_learned_and_segmented(
    random_lite: Segmenter, pictures: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(random_lite.config, resize="letterbox", input_size=(96, 64))
    monkeypatch.setattr(random_lite, "config", config)
    assert computed_size(fitted_size((36, 48), config)) == (64, 64) != fitted_size((36, 48), config) == (48, 64)
    assert random_lite.embed_image(pictures[0].image).shape == (384, 4, 4)
    head = LinearHead.train(random_lite, pictures, held_out=[])
    mask = head.segment(random_lite, pictures[0].image)
    assert mask.shape == (36, 48) and mask[0, 24] == SKY and (mask[30:, 24] == ROAD).all()


def test_a_mask_lies_where_the_image_is_in_the_padded_input(
    random_lite: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(random_lite.config, resize="letterbox", input_size=(96, 64))
    monkeypatch.setattr(random_lite, "config", config)
    assert fitted_size((36, 48), config) == (48, 64)
    # The only channel is the row of the place's middle in the input: 24 is half of the image, 32 of the padded one.
    rows = torch.tensor([8.0, 24.0, 40.0, 56.0])[None, :, None].expand(1, 4, 4)
    monkeypatch.setattr(random_lite, "embed_image", lambda image: rows)
    head = LinearHead((SKY, ROAD), torch.tensor([[0.0], [1.0]]), torch.tensor([24.0, 0.0]))
    mask = head.segment(random_lite, np.zeros((36, 48, 3), np.uint8))
    assert (mask[:18] == SKY).all() and (mask[18:] == ROAD).all()


def test_the_regression_is_at_its_minimum() -> None:
    torch.manual_seed(0)
    # Channels of very different means and scales, one of them constant, and classes that overlap.
    embeddings = torch.randn(400, 5) * torch.tensor([1.0, 0.01, 3.0, 1.0, 0.0]) + torch.tensor(
        [0.0, 5.0, 1.0, -2.0, 1.0]
    )
    labels = (embeddings[:, 0] + torch.randn(400)).gt(0).long() + (embeddings[:, 2] > 1).long()
    weight, bias = (tensor.requires_grad_() for tensor in _logistic_regression(embeddings, labels, 3))
    mean, scale = embeddings.mean(0), embeddings.std(0, correction=0).clamp(min=1e-6)
    loss = F.cross_entropy(F.linear(embeddings, weight, bias), labels) + PENALTY * (weight * scale).square().sum()
    loss.backward()
    assert weight.grad is not None and bias.grad is not None
    gradient = (weight.grad - bias.grad[:, None] * mean) / scale
    assert gradient[:, :4].abs().max() < 1e-3 and bias.grad.abs().max() < 1e-3


def test_a_head_on_the_embedded_model_segments_a_street(shared: Path) -> None:
    train, val = (create_dataset("camvid", shared / "camvid", split) for split in ("train", "val"))
    few = dataclasses.replace(train, samples=train.samples[:: len(train) // 8])
    unseen = dataclasses.replace(val, samples=val.samples[::50])
    segmenter = Segmenter.from_pretrained("errseg-lite", device="cpu")
    iou = LinearHead.train(segmenter, few, held_out=["car"]).measure(segmenter, unseen).iou()
    assert iou[[SKY, ROAD]].min() > 0.6 and iou[train.classes.index("car")] == 0

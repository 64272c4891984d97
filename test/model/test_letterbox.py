"""Images that keep their aspect ratio: what is computed, and that the answer lies exactly on the image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from errseg_model import Segmenter, Vocabulary, create_model
from errseg_model.config import ModelConfig, model_config
from errseg_model.letterbox import computed_size, fitted_places, fitted_size
from errseg_model.network.errseg import ImageEncoding
from errseg_model.network.guidance import Guidance
from errseg_model.network.hsm import CostMaps, DenseEmbeddings
from errseg_model.preprocessing import preprocess

CPU = torch.device("cpu")


def boxed(height: int, width: int) -> ModelConfig:
    return dataclasses.replace(model_config("errseg-lite"), input_size=(height, width), resize="letterbox")


class Brightness:
    """A network whose logits are the brightness of the 4 x 4 pixels that each of them stands for."""

    def encode(self, images: Tensor) -> ImageEncoding:
        dense = [F.avg_pool2d(images[:, :1], stride).expand(-1, 384, -1, -1) for stride in (16, 32)]
        bright = F.avg_pool2d(images.mean(1, keepdim=True), 4)
        return ImageEncoding(DenseEmbeddings(*dense), Guidance(bright, (bright, bright, bright)))

    def fuse(self, cost: CostMaps, text: Tensor, guidance: Guidance) -> Tensor:
        return guidance.aggregator.expand(-1, text.shape[1], -1, -1)


@pytest.fixture(scope="module")
def letterbox() -> Segmenter:
    model = create_model("errseg-lite", random_weights=True)
    return Segmenter(dataclasses.replace(model, config=boxed(256, 256)), CPU)


@pytest.fixture
def registered(letterbox: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    monkeypatch.setattr(letterbox, "_halves", Brightness())
    letterbox.set_vocabulary(["bright"])
    return letterbox


@pytest.mark.parametrize(
    ("image", "box", "fitted", "computed"),
    [
        ((720, 1280), (640, 640), (360, 640), (384, 640)),
        ((1280, 720), (640, 640), (640, 360), (640, 384)),
        ((720, 1280), (384, 640), (360, 640), (384, 640)),
        ((360, 480), (480, 640), (480, 640), (480, 640)),
        ((721, 1283), (480, 640), (360, 640), (384, 640)),
        ((1, 5000), (64, 96), (4, 96), (32, 96)),
        ((1, 1), (64, 96), (64, 64), (64, 64)),
    ],
)
def test_the_smallest_size_that_holds_the_fitted_image(
    image: tuple[int, int], box: tuple[int, int], fitted: tuple[int, int], computed: tuple[int, int]
) -> None:
    assert fitted_size(image, boxed(*box)) == fitted
    assert computed_size(fitted) == computed
    assert preprocess([np.zeros((*image, 3), np.uint8)], boxed(*box), CPU).shape == (1, 3, *computed)


@pytest.mark.parametrize(
    ("fitted", "places"),
    [
        ((480, 640), (30, 40)),
        ((480, 600), (30, 37)),  # the middle of the 38th column is the first of the padding
        ((360, 640), (22, 40)),
        ((604, 596), (38, 37)),
        ((24, 28), (1, 2)),
        ((4, 8), (1, 1)),
        ((12, 640), (1, 40)),
    ],
)
def test_places_are_those_whose_middles_lie_in_the_image(fitted: tuple[int, int], places: tuple[int, int]) -> None:
    assert fitted_places(fitted, 16) == places


@pytest.mark.parametrize("name", ["errseg-b", "errseg-l"])
def test_published_models_stretch_to_their_square(name: str) -> None:
    config = model_config(name)
    assert fitted_size((720, 1280), config) == computed_size(config.input_size) == config.input_size


def test_padding_is_the_mean_colour_and_lies_beside_the_image() -> None:
    white = np.full((10, 30, 3), 255, np.uint8)
    pixels = preprocess([white], boxed(64, 64), CPU)[0]
    assert pixels.shape == (3, 32, 64)
    assert (pixels[:, :20] == 1).all() and (pixels[:, 20:] == 0).all()


@pytest.mark.parametrize("size", [(31, 17), (17, 31), (23, 23), (9, 30), (29, 8)])
def test_one_bright_pixel_comes_back_where_it_was(registered: Segmenter, size: tuple[int, int]) -> None:
    height, width = size
    for row in (0, 1, height // 2, height - 1):
        for column in (0, 1, width // 2, width - 1):
            image = np.zeros((*size, 3), np.uint8)
            image[row, column] = 255
            confidence = registered(image).confidence
            assert np.unravel_index(confidence.argmax(), size) == (row, column)


@pytest.mark.parametrize("size", [(720, 1280), (721, 1283), (1283, 721), (64, 200), (333, 97)])
def test_a_ramp_comes_back_without_a_shift(registered: Segmenter, size: tuple[int, int]) -> None:
    """A resize keeps a ramp away from its ends, and moves it by the fraction of a pixel by which it is off."""
    for axis in (0, 1):
        ramp = np.moveaxis(np.broadcast_to(np.linspace(0, 255, size[axis]), (size[1 - axis], size[axis])), 1, axis)
        image = np.repeat(np.rint(ramp).astype(np.uint8)[..., None], 3, axis=2)
        scores = registered(image).confidence
        brightness = np.log(scores / (1 - scores)) * 127.5 + 127.5
        edge = max(1, size[axis] // 16)
        inner = np.take(brightness - ramp, range(edge, size[axis] - edge), axis=axis)
        assert abs(inner.mean()) < 0.05  # a pixel is 0.2 to 4 units of brightness
        assert np.abs(inner).max() < 1.5  # bytes, and the sigmoid is not a line


def test_padding_has_no_vote(letterbox: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the padding, which is grey, another class is the best than on the black image."""

    class Votes(Brightness):
        def encode(self, images: Tensor) -> ImageEncoding:
            encoding = super().encode(images)
            grey = (F.avg_pool2d(images[:, :1], 16) == 0).float()
            dense = torch.zeros(len(images), 384, *grey.shape[2:])
            dense[:, :1], dense[:, 1:2] = 1 - grey, grey
            return ImageEncoding(DenseEmbeddings(dense, F.avg_pool2d(dense, 2)), encoding.guidance)

    monkeypatch.setattr(letterbox, "_halves", Votes())
    encoded = letterbox.encode(Vocabulary.parse(["image", "padding"]))
    encoded = dataclasses.replace(encoded, embeddings=torch.eye(384)[:2])
    result = letterbox.segment([np.zeros((100, 256, 3), np.uint8)], encoded, max_classes=2, min_share=0.15)[0]
    assert result.selected.tolist() == [0]


def test_a_batch_of_aspects_equals_one_by_one(letterbox: Segmenter) -> None:
    rng = np.random.default_rng(0)
    sizes = [(60, 100), (100, 60), (60, 101), (30, 50)]
    pictures: list[NDArray[np.uint8]] = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    encoded = letterbox.encode(Vocabulary.parse(["a", "b", "c"]))
    for picture, result in zip(pictures, letterbox.segment(pictures, encoded), strict=True):
        alone = letterbox.segment([picture], encoded)[0]
        np.testing.assert_allclose(result.logits, alone.logits, atol=1e-4)
        assert result.mask.shape == picture.shape[:2]
        assert result.class_confidence("a").shape == picture.shape[:2]

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_ros.evaluate_bag.accumulator import Accumulator, Answer
from errseg_ros.evaluate_bag.labels import folding

WORDS = [Vocabulary.from_argument("road; sky; car"), Vocabulary.from_argument("sky; tree")]
CLASSES = [VocabularyEntry(name) for name in ("sky", "road")]


def answer(mask: Any, truth: Any = None, vocabulary: int = 0, **fields: Any) -> Answer:
    pixels = np.array(mask, np.uint16)
    confidence = fields.pop("confidence", np.ones(pixels.shape, np.float32))
    return Answer(
        index=0,
        stamp_ns=0,
        seconds=fields.pop("seconds", 0.0),
        vocabulary=vocabulary,
        latency_ms=1.0,
        image=np.zeros((*pixels.shape, 3), np.uint8),
        mask=pixels,
        confidence=confidence,
        truth=None if truth is None else np.array(truth, np.uint16),
        **fields,
    )


def results(*answers: Answer, classes: list[VocabularyEntry] = CLASSES) -> Any:
    accumulator = Accumulator(WORDS, classes)
    for entry in answers:
        accumulator.add(entry)
    return list(accumulator.rows.results("bag", WORDS))


def test_shares_and_unlabelled_are_of_all_pixels() -> None:
    (frame,) = results(answer([[0, 0, 1, UNLABELLED]]))
    assert frame.shares == {"road": 0.5, "sky": 0.25}
    assert frame.unlabelled == 0.25


def test_confidence_is_the_mean_of_labelled_pixels() -> None:
    confidence = np.array([[0.5, 1.0, 0.1]], np.float32)
    first, second, third = results(
        answer([[0, 1, UNLABELLED]], confidence=confidence),
        answer([[0, 1, 1]], confidence=confidence),
        answer([[UNLABELLED] * 3], confidence=confidence),
    )
    assert first.confidence == 0.75
    assert second.confidence == pytest.approx(1.6 / 3, abs=1e-7)
    assert third.confidence == 0.0


def test_flicker_is_the_share_of_pixels_that_change() -> None:
    frames = results(
        answer([[0, 0, 1, UNLABELLED]]),
        answer([[0, 1, 1, 1]]),
        answer([[0, 0]]),  # another size
        answer([[0, 0]], vocabulary=1),  # another vocabulary
        answer([[0, 0]], vocabulary=1),
    )
    assert [frame.flicker for frame in frames] == [None, 0.5, None, None, 0.0]


@pytest.mark.parametrize(
    ("other", "mask", "expected"),
    [
        ("road; sky; car", [[0, 1, 2, UNLABELLED]], 0.0),
        ("sky; road; car", [[1, 0, 2, UNLABELLED]], 0.0),
        ("street, road; heaven, sky; car", [[0, 1, 2, UNLABELLED]], 0.0),
        ("sky; road; lorry", [[1, 0, 2, UNLABELLED]], 0.25),
        ("road; sky; car", [[0, 0, 0, 0]], 0.75),
    ],
)
def test_disagreement_compares_by_names(other: str, mask: Any, expected: float) -> None:
    (frame,) = results(
        answer(
            [[0, 1, 2, UNLABELLED]],
            other_mask=np.array(mask, np.uint16),
            other_vocabulary=Vocabulary.from_argument(other),
        )
    )
    assert frame.disagreement == expected


def test_pixels_are_counted_by_truth_and_entry_of_the_vocabulary_in_force() -> None:
    # The truth is sky 0, road 1, and 2 does not count; the vocabularies are road 0, sky 1, car 2 and sky 0, tree 1.
    accumulator = Accumulator(WORDS, CLASSES)
    accumulator.add(answer([[1, 0, 2, UNLABELLED, 0]], truth=[[0, 0, 1, 1, 2]]))
    assert accumulator.pixels[0].tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert not accumulator.pixels[1].any()
    (frame,) = accumulator.rows.results("bag", WORDS)
    assert (frame.pixel_accuracy, frame.miou) == (0.25, 0.25)
    assert accumulator.labelled == 1


def test_image_whose_truth_has_no_pixel_that_counts_has_no_figures() -> None:
    (frame,) = results(answer([[0, 0]], truth=[[2, 2]]))
    assert (frame.pixel_accuracy, frame.miou) == (None, None)


def test_figures_are_those_of_torchmetrics() -> None:
    rng = np.random.default_rng(4)
    names = [f"class {n}" for n in range(11)]
    vocabulary = Vocabulary.parse(reversed(names))
    classes = [VocabularyEntry(name) for name in names]
    accumulator = Accumulator([vocabulary], classes)
    kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for number in range(20):
        truth = rng.integers(0, 12, (40, 50))  # 11 does not count
        prediction = np.where(rng.random(truth.shape) < 0.6, truth % 11, rng.integers(0, 11, truth.shape))
        prediction[prediction == 3] = 4  # a class that is never predicted
        entry = answer(10 - prediction, truth=truth, seconds=float(number))
        accumulator.add(entry)
        kept.append((prediction, truth))
    predictions, truths = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*kept, strict=True))
    common: dict[str, Any] = {"num_classes": 11, "ignore_index": 11}
    matrix = MulticlassConfusionMatrix(**common)(predictions, truths)
    confusion = ConfusionMatrix(11)
    confusion.counts += accumulator.pixels[0] @ folding(vocabulary, classes)
    np.testing.assert_array_equal(confusion.counts[:, :11], matrix.numpy())
    assert not confusion.counts[:, 11].any()
    iou = MulticlassJaccardIndex(**common, average="none")(predictions, truths)
    np.testing.assert_allclose(confusion.iou(), iou.numpy(), rtol=1e-6)
    miou = float(MulticlassJaccardIndex(**common)(predictions, truths))
    assert confusion.miou() == pytest.approx(miou, rel=1e-6)
    accuracy = float(MulticlassAccuracy(**common, average="micro")(predictions, truths))
    assert confusion.pixel_accuracy() == pytest.approx(accuracy, rel=1e-6)
    for frame, (prediction, truth) in zip(accumulator.rows.results("bag", [vocabulary]), kept, strict=True):
        one = MulticlassJaccardIndex(**common)(torch.from_numpy(prediction), torch.from_numpy(truth))
        assert frame.miou == pytest.approx(float(one), rel=1e-6)


def test_pairs_of_many_classes_are_told_apart() -> None:
    names = [f"class {n}" for n in range(300)]
    vocabulary = Vocabulary.parse(names)
    accumulator = Accumulator([vocabulary], [VocabularyEntry(name) for name in names])
    accumulator.add(answer([[299, 0, 299]], truth=[[299, 299, 300]]))
    assert accumulator.pixels[0].sum() == 2
    assert accumulator.pixels[0][299, 299] == accumulator.pixels[0][299, 0] == 1

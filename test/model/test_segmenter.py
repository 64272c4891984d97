from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from errseg_model import InputError, Segmenter, Vocabulary, VocabularyError, create_model
from errseg_model.checkpoint import CheckpointError
from errseg_model.segmenter import resolve_device


def test_set_once_segment_many(random_lite: Segmenter, image: NDArray[np.uint8]) -> None:
    random_lite.set_vocabulary(["road", "car, automobile", "sky"])
    first, second = random_lite(image), random_lite(image)
    assert first.mask.shape == (50, 70) and set(first.scores) == {"road", "car", "sky"}
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.class_confidence("car").shape == (50, 70)


def test_a_wrong_vocabulary_changes_nothing(random_lite: Segmenter, image: NDArray[np.uint8]) -> None:
    random_lite.set_vocabulary(["road", "sky"])
    with pytest.raises(VocabularyError):
        random_lite.set_vocabulary(["road", "Road"])
    assert random_lite(image).vocabulary.names == ("road", "sky")


def test_without_vocabulary(image: NDArray[np.uint8]) -> None:
    fresh = Segmenter(create_model("errseg-lite", random_weights=True), torch.device("cpu"))
    with pytest.raises(InputError, match="set_vocabulary"):
        fresh(image)


@pytest.mark.parametrize("min_share", [0.0, 0.05])
def test_a_batch_of_sizes_equals_one_by_one(random_lite: Segmenter, image: NDArray[np.uint8], min_share: float) -> None:
    encoded = random_lite.encode(Vocabulary.parse([f"word {number}" for number in range(9)]))
    pictures = [image, image[::-1, :33].copy(), image[10:40], np.zeros_like(image)]
    results = random_lite.segment(pictures, encoded, min_share=min_share)
    assert (len({len(result.selected) for result in results}) > 1) == (min_share > 0)
    for picture, result in zip(pictures, results, strict=True):
        alone = random_lite.segment([picture], encoded, min_share=min_share)[0]
        np.testing.assert_array_equal(result.selected, alone.selected)
        np.testing.assert_allclose(result.logits, alone.logits, atol=1e-4)
        assert result.mask.shape == picture.shape[:2]


@pytest.mark.parametrize(("classes", "max_classes", "kept"), [(1, 4, 1), (2, 4, 2), (9, 4, 4), (9, 1, 1)])
def test_k(random_lite: Segmenter, image: NDArray[np.uint8], classes: int, max_classes: int, kept: int) -> None:
    encoded = random_lite.encode(Vocabulary.parse([f"word {number}" for number in range(classes)]))
    result = random_lite.segment([image], encoded, max_classes=max_classes)[0]
    assert result.selected.shape == (kept,) and set(np.unique(result.mask)) <= set(result.selected.tolist())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"max_classes": 0}, "at least 1"), ({"confidence_threshold": 1.5}, "0..1")],
)
def test_wrong_arguments(
    random_lite: Segmenter, image: NDArray[np.uint8], arguments: dict[str, float], message: str
) -> None:
    encoded = random_lite.encode(Vocabulary.parse(["a"]))
    with pytest.raises(InputError, match=message):
        random_lite.segment([image], encoded, **arguments)  # type: ignore[arg-type]


def test_encoding_while_segmenting(random_lite: Segmenter, image: NDArray[np.uint8]) -> None:
    encoded = random_lite.encode(Vocabulary.parse(["road", "sky"]))
    expected = random_lite.segment([image], encoded)[0].mask
    thread = threading.Thread(target=random_lite.encode, args=(Vocabulary.parse([f"thing {n}" for n in range(300)]),))
    thread.start()
    while thread.is_alive():
        np.testing.assert_array_equal(random_lite.segment([image], encoded)[0].mask, expected)
    thread.join()


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:1", "mps", ""])
def test_wrong_device(name: str) -> None:
    with pytest.raises(InputError, match="device"):
        resolve_device(name)


def test_auto_device() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_wrong_input_is_found_before_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        Segmenter.from_pretrained(input_size=(100, 100))
    with pytest.raises(CheckpointError, match="does not exist"):
        Segmenter.from_pretrained("errseg-l", checkpoint=tmp_path / "absent.pth")


def test_classes_follow_the_image_and_hold_on_to_the_frame_before(
    random_lite: Segmenter, image: NDArray[np.uint8]
) -> None:
    encoded = random_lite.encode(Vocabulary.parse([f"word {number}" for number in range(9)]))
    fixed = random_lite.segment([image], encoded)[0]
    adaptive = random_lite.segment([image], encoded, min_share=0.2)[0]
    assert 1 <= len(adaptive.selected) < len(fixed.selected) == 9
    assert set(np.unique(adaptive.mask)) <= set(adaptive.selected.tolist())
    loose = random_lite.segment([image], encoded, min_share=0.1)[0].selected
    held = random_lite.segment([image], encoded, min_share=0.2, previous=[loose])[0].selected
    assert held.tolist() == loose.tolist() != adaptive.selected.tolist()
    first = random_lite.segment([image], encoded, min_share=0.2, previous=[None])[0].selected
    assert first.tolist() == adaptive.selected.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_share": -0.1}, "min_share must be in 0..1"),
        ({"min_share": float("nan")}, "min_share must be in 0..1"),
        ({"min_share": 0.1, "previous": []}, "0 entries for 1 images"),
        ({"min_share": 0.1, "previous": [np.array([3])]}, "pass None after a change of words"),
        ({"min_share": 0.1, "previous": [np.array([-1])]}, "pass None after a change of words"),
    ],
)
def test_wrong_shares_and_frames_before(
    random_lite: Segmenter, image: NDArray[np.uint8], arguments: dict[str, Any], message: str
) -> None:
    encoded = random_lite.encode(Vocabulary.parse(["a", "b"]))
    with pytest.raises(InputError, match=message):
        random_lite.segment([image], encoded, **arguments)


def test_the_way_to_resize_must_be_known() -> None:
    with pytest.raises(InputError, match="resize must be one of stretch, letterbox, got 'crop'"):
        Segmenter.from_pretrained(resize="crop")
    with pytest.raises(InputError, match="min_share must be in 0..1, got 2"):
        Segmenter.from_pretrained(min_share=2)

from __future__ import annotations

import numpy as np
import pytest
import torch

from errseg_model.postprocessing import postprocess
from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyError

VOCABULARY = Vocabulary.parse(["road", "car, automobile", "sky", "tree"])


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


@pytest.fixture
def logits() -> torch.Tensor:
    """Two kept classes on a 2 x 2 grid; the upper row is the second's."""
    scores = [[[0.2, 0.2], [0.9, 0.6]], [[0.8, 0.7], [0.1, 0.3]]]
    return torch.tensor([[[logit(s) for s in row] for row in grid] for grid in scores])


def test_positions_are_those_of_the_vocabulary(logits: torch.Tensor) -> None:
    result = postprocess(logits, torch.tensor([1, 3]), (2, 2), VOCABULARY, 0.0)
    assert result.mask.tolist() == [[3, 3], [1, 1]] and result.mask.dtype == np.uint16
    np.testing.assert_allclose(result.confidence, [[0.8, 0.7], [0.9, 0.6]], atol=1e-6)
    assert result.scores == pytest.approx({"road": 0, "car": 0.75, "sky": 0, "tree": 0.75})


def test_threshold(logits: torch.Tensor) -> None:
    result = postprocess(logits, torch.tensor([1, 3]), (2, 2), VOCABULARY, 0.75)
    assert result.mask.tolist() == [[3, UNLABELLED], [1, UNLABELLED]]
    assert result.scores == pytest.approx({"road": 0, "car": 0.9, "sky": 0, "tree": 0.8})
    assert result.confidence[0, 1] == pytest.approx(0.7)  # stays, so that a reader can lower the threshold


def test_resized_to_the_image_with_scores_interpolated_after_the_sigmoid(logits: torch.Tensor) -> None:
    result = postprocess(logits, torch.tensor([0, 2]), (8, 6), VOCABULARY, 0.0)
    assert result.mask.shape == result.confidence.shape == (8, 6)
    assert (result.mask[0] == 2).all() and (result.mask[-1] == 0).all()
    assert result.confidence[0, 0] == pytest.approx(0.8) and result.confidence[-1, 0] == pytest.approx(0.9)


def test_class_confidence_agrees_with_the_mask(logits: torch.Tensor) -> None:
    result = postprocess(logits, torch.tensor([1, 3]), (9, 7), VOCABULARY, 0.0)
    scores = {name: result.class_confidence(name) for name in VOCABULARY.names}
    np.testing.assert_allclose(np.maximum(scores["car"], scores["tree"]), result.confidence, atol=1e-5)
    assert not scores["road"].any() and scores["sky"].shape == (9, 7)
    np.testing.assert_array_equal(result.class_confidence(" CAR"), scores["car"])
    with pytest.raises(VocabularyError, match="automobile"):
        result.class_confidence("automobile")

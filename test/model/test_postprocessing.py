from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from errseg_model.postprocessing import best_classes, best_classes_at_once, postprocess
from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyError

ROUNDING = 3e-6
"""OpenCV's resize and PyTorch's round differently."""

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


def smooth_logits(classes: int, size: tuple[int, int]) -> torch.Tensor:
    coarse = torch.randn(1, classes, 6, 8, generator=torch.Generator().manual_seed(classes))
    return F.interpolate(coarse, size=size, mode="bicubic")[0] * 2


@pytest.mark.parametrize(
    ("classes", "grid", "size"),
    [
        (1, (120, 160), (360, 480)),
        (2, (24, 40), (97, 131)),
        (9, (96, 160), (721, 1283)),
        (19, (120, 160), (1079, 701)),
        (32, (120, 160), (720, 1280)),
        (3, (120, 160), (31, 17)),
        (5, (16, 24), (1, 1)),
        (300, (24, 40), (97, 131)),
        (600, (6, 10), (24, 40)),
    ],
)
def test_cells_make_the_mask_of_the_whole(classes: int, grid: tuple[int, int], size: tuple[int, int]) -> None:
    logits, selected = smooth_logits(classes, grid), torch.arange(classes) * 3
    whole = best_classes_at_once(logits.sigmoid(), selected, size, 0.4)
    best = best_classes(logits, selected, size, 0.4)
    np.testing.assert_allclose(best.confidence, whole.confidence, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(best.means, whole.means, rtol=0, atol=1e-4 if min(size) > 1 else ROUNDING)
    scores = F.interpolate(logits.sigmoid()[None], size=size, mode="bilinear", align_corners=False)[0]
    second = scores.topk(2, dim=0).values[1] if classes > 1 else torch.zeros(size)
    clear = (whole.confidence - second > ROUNDING) & ((whole.confidence - 0.4).abs() > ROUNDING)
    assert clear.double().mean() > 0.99
    np.testing.assert_array_equal(best.mask[clear], whole.mask[clear])
    for kept, position in enumerate(selected.tolist()):
        own = best.confidence[best.mask.int() == position]
        assert best.means[kept].item() == pytest.approx(own.mean().item() if own.numel() else 0, abs=1e-5)


def test_borders_between_things_give_what_the_whole_gives() -> None:
    """Areas of one class each, as in a picture: most cells are decided by their corners, and none may be wrong."""
    areas = smooth_logits(7, (90, 160)).argmax(0)
    logits = F.one_hot(areas, 7).permute(2, 0, 1) * 6.0 - 3 + smooth_logits(8, (90, 160))[:7]
    whole = best_classes_at_once(logits.sigmoid(), torch.arange(7), (720, 1280), 0.6)
    best = best_classes(logits, torch.arange(7), (720, 1280), 0.6)
    assert (best.mask.numpy() != whole.mask.numpy()).mean() < 1e-5 and (whole.mask.numpy() == UNLABELLED).any()
    np.testing.assert_allclose(best.confidence, whole.confidence, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(best.means, whole.means, rtol=0, atol=1e-4)


def test_where_no_score_reaches_the_threshold_nothing_is_labelled() -> None:
    result = postprocess(torch.full((2, 6, 8), logit(0.3)), torch.tensor([1, 3]), (24, 32), VOCABULARY, 0.5)
    assert (result.mask == UNLABELLED).all() and not any(result.scores.values())
    np.testing.assert_allclose(result.confidence, 0.3, atol=ROUNDING)


def test_a_class_that_is_best_only_between_the_logits_is_found() -> None:
    left = torch.tensor([[0.9, 0.01], [0.9, 0.01]])
    scores = torch.stack([left, left.flip(1), torch.full((2, 2), 0.5)])
    mask = best_classes(torch.logit(scores), torch.arange(3), (20, 20)).mask.numpy()
    assert mask[:, [0, 9, 10, 19]].tolist() == [[0, 2, 2, 1]] * 20


def test_of_equal_scores_the_first_class_wins() -> None:
    logits = smooth_logits(1, (30, 40)).expand(7, -1, -1)
    assert (best_classes(logits, torch.arange(4, 11), (301, 403)).mask.numpy() == 4).all()
    many = logits[:1].expand(600, -1, -1)
    assert (best_classes(many, torch.arange(600) + 9, (60, 80)).mask.numpy() == 9).all()


def test_a_score_that_is_no_number_is_unlabelled() -> None:
    logits = torch.zeros(2, 4, 4)
    logits[1, 0, 0] = torch.nan
    assert best_classes(logits, torch.arange(2), (4, 4), 0.25).mask[0, 0].item() == UNLABELLED


def test_no_score_is_above_1() -> None:
    """Scores whose mean rounds to more than the largest of them, at sizes that gave it."""
    ones = torch.ones(1, 24, 40)
    below = torch.nextafter(ones, torch.zeros(()))
    scores = torch.where(torch.rand(ones.shape, generator=torch.Generator().manual_seed(0)) < 0.5, below, ones)
    best = best_classes_at_once(scores, torch.arange(1), (50, 70), 0.5)
    assert best.confidence.max().item() == 1 and best.means.max().item() <= 1


def test_more_classes_than_a_vocabulary_may_have() -> None:
    logits = torch.stack([torch.full((2, 2), -1.0), torch.ones(2, 2)])
    assert (best_classes(logits, torch.tensor([7, 2999]), (40, 50)).mask.numpy() == 2999).all()


def test_an_8k_image_needs_little_more_memory_than_its_result() -> None:
    """The maps of 19 classes at that size are 2.5 GB; measured is what the process grows by at most."""
    code = (
        "import resource, torch; from errseg_model.postprocessing import best_classes as best; "
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024; torch.manual_seed(0); "
        "logits, kept = torch.randn(19, 120, 160), torch.arange(19); best(logits, kept, (720, 1280)); before = peak(); "
        "best(logits, kept, (4320, 7680)); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 600  # MB; mask and confidence are 190 of them

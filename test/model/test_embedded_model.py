"""errseg-lite with the weights of the repository: is it good enough to be the default?"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import errseg_model
from errseg_model import Segmenter, Vocabulary
from errseg_model.datasets import create_dataset
from errseg_model.evaluation.evaluate import evaluate
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.evaluation.renaming import read_renaming
from errseg_model.sample_drive import CLASSES, SampleDrive

ROOT = Path(__file__).parents[2]
WEIGHTS = Path(errseg_model.__file__).parent / "weights"


@pytest.fixture(scope="module")
def lite() -> Segmenter:
    return Segmenter.from_pretrained("errseg-lite", device="cpu")


def test_weights_are_small_and_have_a_card() -> None:
    assert (WEIGHTS / "errseg-lite.safetensors").stat().st_size < 40e6
    assert "Research use only" in (WEIGHTS / "errseg-lite.md").read_text()


def test_sample_drive(lite: Segmenter) -> None:
    """A drive that it was not trained on (the demo's seed), against exact labels."""
    encoded = lite.encode(Vocabulary.parse(CLASSES))
    drive, confusion = SampleDrive(seed=0), ConfusionMatrix(len(CLASSES))
    for index in range(5, len(drive), 20):
        frame = drive.frame(index)
        confusion.update(frame.labels, lite.segment([frame.image], encoded)[0].mask)
    assert confusion.miou() > 0.55
    assert confusion.pixel_accuracy() > 0.88


def test_camvid(lite: Segmenter, shared: Path) -> None:
    """Every eighth picture of the test split, under its names and under words never trained."""
    dataset = create_dataset("camvid", shared / "camvid", "test")
    dataset = dataclasses.replace(dataset, samples=dataset.samples[::8])
    miou = evaluate(lite, dataset).confusion.miou()
    other_words = read_renaming(ROOT / "config/evaluation/camvid_other_words.yaml")
    assert miou > 0.63
    assert evaluate(lite, dataset, renamed=other_words).confusion.miou() > 0.85 * miou


def test_highway(lite: Segmenter, shared: Path) -> None:
    """Real footage from another continent: things are where they are."""
    picture = cv2.cvtColor(cv2.imread(str(shared / "drive" / "test1.jpg")), cv2.COLOR_BGR2RGB)
    lite.set_vocabulary(["road", "car, automobile", "sky", "tree", "traffic sign"])
    mask = lite(np.asarray(picture, np.uint8)).mask
    assert (mask[560:700, 300:1000] == 0).mean() > 0.9  # the lane
    assert (mask[:100, 300:900] == 2).mean() > 0.9  # sky
    assert (mask[430:470, 840:920] == 1).mean() > 0.8  # the dark car
    assert (mask[200:350, 900:1050] == 3).mean() > 0.8  # the tall tree


@pytest.mark.parametrize("name", ["cityscapes", "ade20k"])
def test_absent_classes_do_not_drown_the_road(lite: Segmenter, name: str) -> None:
    vocabulary = Vocabulary.read(ROOT / "config" / "vocabularies" / f"{name}.yaml")
    frame = SampleDrive(seed=0).frame(50)
    result = lite.segment([frame.image], lite.encode(vocabulary))[0]
    road = result.mask[frame.labels == CLASSES.index("road")]
    assert (road == vocabulary.index("road")).mean() > 0.6


def test_golden_outputs(lite: Segmenter) -> None:
    """The released weights go on computing what they computed at release."""
    golden = np.load(Path(__file__).parent / "golden" / "errseg-lite.npz")
    words = json.loads(str(golden["vocabulary"]))
    with torch.inference_mode():
        result = lite.segment([golden["image"]], lite.encode(Vocabulary.parse(words)), max_classes=5)[0]
    np.testing.assert_array_equal(result.selected, golden["selected"])
    np.testing.assert_allclose(result.logits[:, ::4, ::4], golden["logits"], atol=1e-3)
    assert (result.mask == golden["mask"]).mean() > 0.999

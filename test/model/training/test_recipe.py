"""Recipes as data, and what is wrong with them in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from errseg_model import InputError
from errseg_model.__main__ import main
from errseg_model.training.recipe import DatasetSource, FolderSource, TrainingRecipe

CONFIG = Path(__file__).parents[3] / "config" / "training"
LITE = (CONFIG / "errseg-lite.yaml").read_text()


def test_a_recipe_is_what_its_file_says() -> None:
    recipe = TrainingRecipe.read(CONFIG / "errseg-lite.yaml")
    assert recipe.data == DatasetSource("camvid", "../shared/camvid", ("train",))
    assert recipe.crop == (288, 288) and recipe.sample_drive is not None and recipe.sample_drive.share == 0.12
    assert isinstance(TrainingRecipe.read(CONFIG / "own-data.yaml").data, FolderSource)


@pytest.mark.parametrize("name", ["errseg-b", "errseg-l"])
def test_the_published_recipe_is_the_papers(name: str) -> None:
    recipe = TrainingRecipe.read(CONFIG / f"{name}.yaml")
    assert recipe.model == name and recipe.data == DatasetSource("coco-stuff", "../coco-stuff", ("train",))
    assert (recipe.steps, recipe.batch_size, recipe.learning_rate) == (80_000, 4, 2e-4)
    assert recipe.min_classes == recipe.max_classes == recipe.candidates == 32
    # Both at 640, although ERR-Seg-L is measured at 768.
    assert recipe.crop == (640, 640) and recipe.shorter_side == 640 and recipe.scale == (1, 1)
    assert recipe.mixed_precision == "fp16"
    assert recipe.class_weight is None and recipe.jaccard_weight == recipe.cost_weight == 0
    assert recipe.prototype_weight == recipe.teacher_weight == 0
    assert not recipe.guidance_gradient and recipe.drop_path == 0.025


def test_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    recipe = dataclasses.replace(TrainingRecipe.read(CONFIG / "errseg-lite.yaml"), steps=110, warmup_steps=10)
    factors = [recipe.learning_rate_factor(step) for step in (0, 4, 9, 10, 60, 110)]
    assert factors == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 1", "sead: 1", "missing or unknown fields in the recipe: sead, seed"),
        ("splits: [train]", "splits: [train, test]", "the split 'test' is for measuring only"),
        ("batch_size: 4", "batch_size: 0", "batch_size must be at least 1, got 0"),
        ("batch_size: 4", "batch_size: four", "batch_size must be a whole number, got 'four'"),
        ("min_classes: 6", "min_classes: 0", "min_classes must be at least 1, got 0"),
        ("max_classes: 40", "max_classes: 5", r"max_classes must be at least min_classes \(6\), got 5"),
        ("candidates: 320", "candidates: 39", r"candidates must be at least max_classes \(40\), got 39"),
        ("ema_decay: 0.998", "ema_decay: 0", "ema_decay must be null or between 0 and 1, got 0"),
        ("frames: 240", "frames: 0", "sample_drive must be null, or at least 1 of frames and a share in 0..1"),
        ("share: 0.12", "share: 1.2", "sample_drive must be null, or at least 1 of frames and a share in 0..1"),
        ("class_weight: [0.6, 4.0]", "class_weight: [4.0, 0.6]", "class_weight must be null, or two bounds above 0"),
        ("jaccard_weight: 1.0", "jaccard_weight: -1.0", "jaccard_weight must be 0 or more, got -1.0"),
        ('"*": 1', '"*": -1', "rates must be numbers of 0 or more"),
        ("compounds: 11", "compounds: -1", "compounds must be 0 or more, got -1"),
        ("distractors: 300", "distractors: 0", "compounds must be 0 without distractors, got 11"),
        ("learning_rate: 0.0005", "learning_rate: 5e-4", r"learning_rate must be a number \(2.0e-4, not 2e-4\)"),
        ("crop: [288, 288]", "crop: [288]", "crop must be a list of 2, each a whole number"),
        ("crop: [288, 288]", "crop: [288, 290]", "recipe: crop: .*multiples of 32"),
        ("scale: [0.5, 2.0]", "scale: [2.0, 0.5]", "scale must be a lower and an upper bound"),
        ("scale: [0.5, 2.0]", "scale: [0.5, 9]", r"scale must be .* above 0, up to 8, got \(0.5, 9.0\)"),
        ("scale: [0.5, 2.0]", "scale: [0.5, .inf]", r"scale must be finite and below 2\^63, got inf"),
        ("aspect_jitter: 0.2", "aspect_jitter: .inf", r"aspect_jitter must be finite and below 2\^63, got inf"),
        ("shorter_side: null", "shorter_side: 801", "shorter_side must be null or 1 to 800, got 801"),
        ("drop_path: 0 ", "drop_path: 0.4 ", "drop_path must be 0 to 0.3, got 0.4"),
        ("aspect_jitter: 0.2", "aspect_jitter: 30", "aspect_jitter must be 0 to 2, got 30.0"),
        ("word_noise: 0.4", "word_noise: .nan", r"word_noise must be finite and below 2\^63, got nan"),
        ("word_noise: 0.4", f"word_noise: {10**400}", r"word_noise must be finite and below 2\^63, got 1000"),
        ('"*": 1', '"*": .inf', r"rates: \* must be finite and below 2\^63, got inf"),
        ("seed: 1", f"seed: {2**70}", rf"seed must be finite and below 2\^63, got {2**70}"),
        ("max_classes: 40", f"max_classes: {10**20}", rf"max_classes must be finite and below 2\^63, got {10**20}"),
        ('mixed_precision: "no"', "mixed_precision: fp8", "mixed_precision must be one of no, fp16, bf16"),
        ("dataset: camvid", "dataset: moose", "unknown data set 'moose'"),
        ("  dataset: camvid", "  data_set: camvid", "missing or unknown fields in data: data_set, dataset"),
        ("../shared/camvid", "nowhere/camvid", "nowhere/camvid is no folder"),
        ("held_out: []", "held_out: [moose]", "held_out has moose"),
        ("model: errseg-lite", "model: errseg-xl", "unknown model 'errseg-xl'"),
        ("pretrained: imagenet", "pretrained: clip", "pretrained of errseg-lite is imagenet or null"),
        ("start_from: null", "start_from: absent.pth", "absent.pth does not exist"),
        ("driving_words.yaml", "absent.yaml", "absent.yaml cannot be read"),
    ],
)
def test_a_wrong_recipe_ends_in_one_message(
    tmp_path: Path, tiny_camvid: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in LITE
    text = LITE.replace(old, new).replace("../shared/camvid", str(tiny_camvid))
    (tmp_path / "r.yaml").write_text(text)
    assert main(["train", "--config", str(tmp_path / "r.yaml"), "--folder", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if "error: " in line]
    assert len(lines) == 1 and lines[0].startswith("errseg: error: ") and "Traceback" not in error
    with pytest.raises(InputError, match=message):
        raise InputError(lines[0])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("text", "message"), [("[1, 2", "cannot be read as YAML"), ("- 1", "must have the fields")])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        TrainingRecipe.read(tmp_path / "r.yaml")


def test_labels_that_cannot_be_read_end_in_one_message(
    tmp_path: Path, tiny_camvid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny_camvid / "train/labels/a_1.png").write_bytes(b"no picture")
    (tmp_path / "r.yaml").write_text(LITE.replace("../shared/camvid", str(tiny_camvid)))
    assert main(["train", "--config", str(tmp_path / "r.yaml"), "--folder", str(tmp_path / "run")]) == 2
    assert "errseg: error: " in (error := capsys.readouterr().err) and "a_1.png cannot be decoded" in error

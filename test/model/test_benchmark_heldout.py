"""Words outside the training classes, measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from errseg_model import Segmenter, Vocabulary
from errseg_model.benchmark_heldout import HeldOutFigures, chance, main, mistake, shares
from errseg_model.checkpoint import save_checkpoint
from errseg_model.datasets import Dataset
from errseg_model.datasets.camvid import CLASSES
from errseg_model.evaluation.linear_head import LinearHead
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_model.evaluation.renaming import read_renaming
from errseg_model.factory import create_model
from errseg_model.segmenter import EncodedVocabulary

REPOSITORY = Path(__file__).resolve().parents[2]


def confusion(counts: Sequence[Sequence[int]]) -> ConfusionMatrix:
    """Of (truth, prediction), the last column 'none of them'."""
    matrix = ConfusionMatrix(len(counts))
    matrix.counts[:] = counts
    return matrix


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of errseg-lite that know nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_checkpoint(path, create_model("errseg-lite", random_weights=True).named_tensors(), "errseg-lite")
    return path


@pytest.fixture
def arguments(tiny_camvid: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(REPOSITORY)
    return ["--root", str(tiny_camvid), "--split", "val", "--checkpoint", str(checkpoint), "--input-size", "64x96"]


@pytest.mark.parametrize(("true", "said"), [(0.3, 0.3), (0.3, 0.6), (0.05, 0.5), (0.4, 0.1)])
def test_chance_is_what_random_guesses_get(true: float, said: float) -> None:
    rng, pixels = np.random.default_rng(0), 400_000
    truth = (rng.random(pixels) >= true).astype(np.uint8)
    # Whoever says less than there is to say does better by saying as much as there is.
    guess, generous = ((rng.random(pixels) >= part).astype(np.uint8) for part in (said, max(true, said)))
    model, guesser = ConfusionMatrix(2), ConfusionMatrix(2)
    model.update(truth, guess)
    guesser.update(truth, generous)
    assert chance(model)[0] == pytest.approx(guesser.iou()[0], abs=0.004)
    assert shares(model)[0] == pytest.approx(true, abs=0.004)


def test_no_guesser_beats_the_share_and_a_class_that_is_not_there_has_no_chance() -> None:
    everything_first = confusion([[20, 0, 0, 0], [80, 0, 0, 0], [0, 0, 0, 0]])
    assert chance(everything_first)[:2] == pytest.approx([0.2, 0.8 / 1.2])
    assert np.isnan(chance(everything_first)[2])
    assert (chance(everything_first)[:2] <= shares(everything_first)[:2] + 1e-12).all()


def test_a_mistake_is_the_most_frequent_wrong_class() -> None:
    matrix = confusion([[5, 1, 4, 0], [0, 9, 0, 1], [0, 0, 0, 0]])
    assert mistake(matrix, 0) == (2, 0.4)
    assert mistake(matrix, 1) is None  # none of the classes is no class
    assert mistake(matrix, 2) is None  # nothing is labelled so


def test_the_means_are_over_the_classes_that_the_split_shows() -> None:
    figures = HeldOutFigures(
        classes=("road", "sky", "fence", "sign"),
        held_out=np.array([False, False, True, True]),
        model=confusion([[60, 0, 0, 0, 0], [0, 10, 10, 0, 0], [0, 0, 20, 0, 0], [0, 0, 0, 0, 0]]),
        other_words=confusion([[60, 0, 0, 0, 0], [0, 20, 0, 0, 0], [0, 10, 10, 0, 0], [0, 0, 0, 0, 0]]),
        head=confusion([[60, 0, 0, 0, 0], [0, 20, 0, 0, 0], [15, 5, 0, 0, 0], [0, 0, 0, 0, 0]]),
    )
    content = figures.to_json()
    trained, held_out = content["mean_of_trained"], content["mean_of_held_out"]
    assert trained == pytest.approx(
        {
            "share": 0.4,
            "chance": (0.6 / 1.4 + 0.2 / 1.8) / 2,
            "iou": 0.75,
            "iou_by_other_words": (1 + 20 / 30) / 2,
            "iou_of_linear_head": (60 / 75 + 20 / 25) / 2,
        }
    )
    assert held_out == pytest.approx(
        {
            "share": 0.2,
            "chance": 0.2 * 0.3 / (0.2 + 0.3 - 0.2 * 0.3),
            "iou": 20 / 30,
            "iou_by_other_words": 0.5,
            "iou_of_linear_head": 0,
        }
    )
    lines = {line[:7].strip(): line.split() for line in figures.table().splitlines()}
    assert lines["road"] == ["road", "60.0", "42.9", "100.0", "100.0", "80.0", "-", "-"]
    assert lines["fence *"] == ["fence", "*", "20.0", "13.6", "66.7", "50.0", "cannot", "-", "road", "75.0"]
    assert lines["sign *"] == ["sign", "*", "-", "-", "-", "-", "cannot", "-", "-"]
    assert lines["mean *"] == ["mean", "*", "20.0", "13.6", "66.7", "50.0", "cannot"]


def test_the_program_measures_every_class(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    assert main([*arguments, "--held-out", "road", "fence", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "CamVid val, 3 images" in printed and all(f"\n{name}" in printed for name in CLASSES)
    content = json.loads(out.read_text())
    assert (content["split"], content["images"], tuple(content["classes"])) == ("val", 3, CLASSES)
    assert [name for name, figures in content["classes"].items() if figures["held_out"]] == ["road", "fence"]
    sky, road, fence = (content["classes"][name] for name in ("sky", "road", "fence"))
    assert sky["share"] == road["share"] == 0.5 and sky["chance"] >= 0.5 / 1.5
    # The head was shown sky alone, and says it everywhere.
    assert (sky["iou_of_linear_head"], road["iou_of_linear_head"]) == (0.5, 0)
    assert road["linear_head_says_instead"] == {"class": "sky", "share": 1.0}
    assert fence["share"] is fence["iou"] is fence["iou_of_linear_head"] is fence["linear_head_says_instead"] is None


def test_the_head_is_trained_on_the_train_split_and_only_the_words_held_out_change(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[tuple[str, list[str]]] = []
    asked: list[Vocabulary] = []
    train, encode = LinearHead.train, Segmenter.encode

    def noted_train(segmenter: Segmenter, dataset: Dataset, held_out: list[str]) -> LinearHead:
        splits.append((dataset.split, held_out))
        return train(segmenter, dataset, held_out)

    def noted_encode(segmenter: Segmenter, vocabulary: Vocabulary) -> EncodedVocabulary:
        asked.append(vocabulary)
        return encode(segmenter, vocabulary)

    monkeypatch.setattr(LinearHead, "train", noted_train)
    monkeypatch.setattr(Segmenter, "encode", noted_encode)
    assert main([*arguments, "--held-out", "fence", "sign"]) == 0
    assert splits == [("train", ["fence", "sign"])]
    own, other = (dict(zip(CLASSES, vocabulary.entries, strict=True)) for vocabulary in asked)
    assert tuple(entry.name for entry in own.values()) == CLASSES
    words = read_renaming(REPOSITORY / "config/evaluation/camvid_other_words.yaml")
    assert other == own | {name: words[name] for name in ("fence", "sign")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--held-out", "lorry", "fence"], "--held-out has lorry, which is no class of CamVid: sky, building"),
        (["--held-out", *CLASSES], "--held-out has every class"),
        (["--held-out", "fence", "--split", "night"], "unknown split 'night'"),
        (["--held-out", "fence", "--checkpoint", "absent.safetensors"], "absent.safetensors does not exist"),
    ],
)
def test_wrong_input_ends_in_one_message(
    arguments: list[str], change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *change]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("benchmark-heldout: error: ") and message in captured.err


def test_weights_that_were_trained_with_all_classes_are_not_measured(
    tiny_camvid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tiny_camvid), "--held-out", "fence"]) == 2
    assert "--checkpoint is needed" in capsys.readouterr().err

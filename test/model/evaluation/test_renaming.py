"""Other words for the classes of a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from errseg_model import InputError, Vocabulary, VocabularyEntry, VocabularyError
from errseg_model.datasets.camvid import CLASSES
from errseg_model.evaluation.renaming import read_renaming, rename
from errseg_model.training.words import Words


def test_rename_keeps_the_order() -> None:
    vocabulary = rename(Vocabulary.parse(["sky", "car", "road"]), {"CAR": VocabularyEntry("motorcar", ("auto",))})
    assert vocabulary.to_strings() == ["sky", "motorcar, auto", "road"]
    with pytest.raises(VocabularyError, match="moon"):
        rename(vocabulary, {"moon": VocabularyEntry("sun")})


def test_read_renaming(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("sky: heavens\ncar: motorcar, auto\n")
    assert read_renaming(tmp_path / "words.yaml") == {
        "sky": VocabularyEntry("heavens"),
        "car": VocabularyEntry("motorcar", ("auto",)),
    }


@pytest.mark.parametrize("content", ["- sky\n", "sky: [a]\n", "sky: 1\n", "a: b: c\n", "", "\xff", "sky: ''\n"])
def test_wrong_renaming(tmp_path: Path, content: str) -> None:
    (tmp_path / "words.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"words.yaml"):
        read_renaming(tmp_path / "words.yaml")


def test_other_words_were_never_trained() -> None:
    root = Path(__file__).parents[3]
    other = read_renaming(root / "config/evaluation/camvid_other_words.yaml")
    words = Words.read(root / "config/training/driving_words.yaml", CLASSES, ())
    named = " | ".join([phrase for phrases in words.synonyms for phrase in phrases] + [p for p, _ in words.related])
    assert set(other) == set(CLASSES)
    for entry in other.values():
        assert entry.name not in named, f"{entry.name} is in a training word"
        assert entry.name not in words.unrelated, f"{entry.name} is a training word"

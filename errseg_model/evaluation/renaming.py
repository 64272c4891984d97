"""Other words for the classes of a data set: what a model makes of synonyms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from errseg_model.errors import InputError
from errseg_model.vocabulary import Vocabulary, VocabularyEntry, VocabularyError
from errseg_model.yaml_files import read_yaml


def rename(vocabulary: Vocabulary, renamed: Mapping[str, VocabularyEntry]) -> Vocabulary:
    """The vocabulary with other words for some names. Raises VocabularyError for a name it does not have."""
    entries = list(vocabulary.entries)
    for name, entry in renamed.items():
        entries[vocabulary.index(name)] = entry
    return Vocabulary(tuple(entries))


def read_renaming(path: str | Path) -> dict[str, VocabularyEntry]:
    """A YAML file `name: other words`. Raises InputError naming the file."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise InputError(f"{path} must be a YAML mapping of class names to other words (sky: heavens)")
    try:
        return {str(name): VocabularyEntry.parse(words) for name, words in content.items()}
    except VocabularyError as error:
        raise InputError(f"{path}: {error}") from None

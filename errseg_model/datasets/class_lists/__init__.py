"""The classes of the data sets: a YAML file each, which maps the ids of its label files to names.

The order of a file is that of the classes' positions, 0 upwards, in label files that were converted (train ids). The
files have the format of a labels FILE of the public interface.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from errseg_model.vocabulary import Vocabulary, VocabularyEntry


@dataclass(frozen=True)
class ClassList:
    """The classes of a data set, each with its id in the published label files."""

    vocabulary: Vocabulary
    ids: tuple[int, ...]
    void: Sequence[int] = ()
    """Further ids of the published label files, which do not count."""


ClassSource = Callable[[Path], ClassList]
"""The classes of the data set in a folder. Raises DatasetError when they cannot be read there."""


def packaged(name: str) -> ClassSource:
    """The class list `name` of this package."""

    def read(root: Path) -> ClassList:
        text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        names: dict[int, str] = yaml.safe_load(text)
        return ClassList(Vocabulary(tuple(map(VocabularyEntry, names.values()))), tuple(names))

    return read

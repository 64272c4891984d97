"""What describes a data set: where its pictures and labels lie and what the pixels of the labels mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from errseg_model.datasets.class_lists import ClassSource
from errseg_model.errors import InputError


class DatasetError(InputError):
    """A data set's folder that is not as it should be."""


@dataclass(frozen=True)
class Layout:
    """One published way to lay out a data set.

    `image`, `label` and a list of names are paths below the data set's folder, in which `{split}` stands for the
    folder name of the split. `{name}`, right after a `/`, stands for the name of a picture, which may have folders.
    """

    image: str
    label: str
    names: str = "image"
    """Which pictures there are: those of `image`, those of `label`, or those of a file with one name a line."""
    pixel: Literal["id", "position", "ade20k"] = "id"
    """What a pixel of a label holds: an id of the class list; the position of a class in it; or, in ADE20K's full
    release, an id spread over two channels, red / 10 * 256 + green."""
    void: Sequence[int] = ()
    """Values, beside those of the class list, that do not count. Any other value is an error."""


@dataclass(frozen=True)
class DatasetSpecification:
    """A data set that models are measured on."""

    name: str
    """On the command line."""
    title: str
    """For people."""
    folder: str
    """What its folder is usually called."""
    classes: ClassSource
    splits: Mapping[str, str]
    """Name of every labelled split and of its folder; the first is the one that figures are published for."""
    layouts: tuple[Layout, ...]
    """The first one found is read."""
    max_classes: int | None = None
    """K of the channel reduction in the paper's tables; None leaves it to the model."""

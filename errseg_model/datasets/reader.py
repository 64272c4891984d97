"""A data set in its published folder layout, read picture by picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errseg_model.datasets.folder_tree import files_below
from errseg_model.datasets.label_files import LabelFiles, decode
from errseg_model.datasets.specification import DatasetError, DatasetSpecification, Layout
from errseg_model.vocabulary import Vocabulary


@dataclass(frozen=True)
class LabelledImage:
    """One picture and its truth."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    labels: NDArray[np.uint8] | NDArray[np.uint16]
    """(H, W) positions of the data set's classes; the number of classes where a pixel does not count."""


@dataclass(frozen=True)
class Sample:
    """The files of one picture."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Dataset:
    """One split of a data set; iterating reads its pictures in the order of their names."""

    specification: DatasetSpecification
    split: str
    vocabulary: Vocabulary
    """Its classes, in the order of their positions."""
    label_files: LabelFiles
    samples: tuple[Sample, ...]

    @classmethod
    def open(cls, specification: DatasetSpecification, root: str | Path, split: str | None = None) -> Dataset:
        """Find the files of a split; None takes the one that figures are published for.

        Raises DatasetError: unknown split, a folder in none of the data set's layouts, a picture without labels or
        labels without a picture.
        """
        splits = specification.splits
        split = next(iter(splits)) if split is None else split
        if split not in splits:
            raise DatasetError(
                f"unknown split {split!r} of {specification.title}: expected one of {', '.join(sorted(splits))}"
            )
        root = Path(root)
        layout = _find_layout(specification, root, splits[split])
        classes = specification.classes(root)
        samples = tuple(
            Sample(name, _path(root, layout.image, splits[split], name), _path(root, layout.label, splits[split], name))
            for name in sorted(_names(root, layout, splits[split]))
        )
        if not samples:
            raise DatasetError(f"{root / layout.names.replace('{split}', splits[split])} names no pictures")
        for sample in samples:
            if not os.path.isfile(sample.label):
                raise DatasetError(f"{sample.image} has no labels: expected {sample.label}")
            if not os.path.isfile(sample.image):
                raise DatasetError(f"{sample.label} has no picture: expected {sample.image}")
        return cls(specification, split, classes.vocabulary, LabelFiles(layout, classes), samples)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, in the order of their positions."""
        return self.vocabulary.names

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> LabelledImage:
        """Read one picture. Raises DatasetError: a file cannot be decoded, sizes differ, or unknown labels."""
        sample = self.samples[index]
        image = np.asarray(decode(sample.image, "RGB"), np.uint8)
        labels = self.label_files.read(sample.label)
        if labels.shape != image.shape[:2]:
            raise DatasetError(f"labels {sample.label} are {labels.shape}, expected {image.shape[:2]} as the picture")
        return LabelledImage(sample.name, image, labels)

    def __iter__(self) -> Iterator[LabelledImage]:
        return (self[index] for index in range(len(self)))


def _path(root: Path, template: str, folder: str, name: str) -> Path:
    return root / template.replace("{split}", folder).replace("{name}", name)


def _names(root: Path, layout: Layout, folder: str) -> Iterator[str]:
    """The names of a split's pictures. Raises DatasetError when the list of them cannot be read."""
    template = {"image": layout.image, "label": layout.label}.get(layout.names)
    if template is None:
        path = _path(root, layout.names, folder, "")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        yield from filter(None, map(str.strip, lines))
        return
    start, end = template.split("{name}")
    place = _path(root, start, folder, "")
    for path in files_below(place):
        if path.name.endswith(end):
            yield path.relative_to(place).as_posix().removesuffix(end)


def _find_layout(specification: DatasetSpecification, root: Path, folder: str) -> Layout:
    """The first layout that there are pictures and labels of. Raises DatasetError saying what was expected."""
    for layout in specification.layouts:
        if _is_there(root, layout, folder):
            return layout
    expected = [
        ", ".join(
            template.replace("{split}", folder).replace("{name}", "*")
            for template in dict.fromkeys((layout.image, layout.label, layout.names))
            if template not in ("image", "label")
        )
        for layout in specification.layouts
    ]
    reason = f"does not hold {specification.title} in a known layout" if os.path.isdir(root) else "is no folder"
    raise DatasetError(
        f"{root} {reason}: expected the data set's folder, such as {specification.folder}, with "
        f"{'; or with '.join(expected)}"
    )


def _is_there(root: Path, layout: Layout, folder: str) -> bool:
    if layout.names not in ("image", "label") and not os.path.isfile(_path(root, layout.names, folder, "")):
        return False
    for template in (layout.image, layout.label):
        start, end = template.split("{name}")
        if not any(path.name.endswith(end) for path in files_below(_path(root, start, folder, ""))):
            return False
    return True

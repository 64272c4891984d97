"""A data set of your own: a folder of pictures, a folder of label images, and a YAML file of id: name.

A label image is a PNG of one whole number a pixel, up to 16 bits, with the name of its picture. 255 does not count (nor
65535 in 16 bits) unless it is the id of a class; any other id that the file of classes lacks is an error.
"""

from __future__ import annotations

import os
from pathlib import Path

from errseg_model.datasets.class_lists import ClassList
from errseg_model.datasets.folder_tree import files_below
from errseg_model.datasets.label_files import LabelFiles
from errseg_model.datasets.reader import Dataset, Sample
from errseg_model.datasets.specification import DatasetError, DatasetSpecification, Layout
from errseg_model.vocabulary import Vocabulary, VocabularyEntry, VocabularyError
from errseg_model.yaml_files import read_names_of_ids

SUFFIXES = (".jpg", ".jpeg", ".png")
_VOID = (255, 65535)


def open_folders(images: str | Path, labels: str | Path, classes: str | Path) -> Dataset:
    """The pictures below `images` with the labels of the same path below `labels`.

    Raises DatasetError: no pictures, a picture without labels or with those of another picture, labels that are a
    picture themselves, or classes that cannot be read.
    """
    images, labels = Path(images), Path(labels)
    found = sorted(path for path in files_below(images) if path.suffix.lower() in SUFFIXES)
    if not found:
        reason = "holds no pictures" if os.path.isdir(images) else "is no folder"
        raise DatasetError(f"{images} {reason}: expected a folder of {', '.join(SUFFIXES)} files")
    samples = tuple(
        # Not with_suffix: it would take a stamp such as 17.250 for one.
        Sample(name, path, labels / f"{name}.png")
        for path in found
        for name in [path.relative_to(images).as_posix().removesuffix(path.suffix)]
    )
    pictures: dict[Path, Path] = {}
    for sample in samples:
        if not os.path.isfile(sample.label):
            raise DatasetError(f"{sample.image} has no labels: expected {sample.label}")
        if sample.label == sample.image:
            raise DatasetError(f"{sample.image} is both picture and labels: keep labels in a folder of their own")
        other = pictures.setdefault(sample.label, sample.image)
        if other != sample.image:
            raise DatasetError(f"{other} and {sample.image} have the same labels, {sample.label}: rename one")
    class_list = read_class_list(classes)
    layout = Layout("{name}", "{name}.png", void=_VOID)
    specification = DatasetSpecification(
        name=images.name,
        title=str(images),
        folder=str(images),
        classes=lambda root: class_list,
        splits={"all": ""},
        layouts=(layout,),
    )
    return Dataset(specification, "all", class_list.vocabulary, LabelFiles(layout, class_list), samples)


def read_class_list(path: str | Path) -> ClassList:
    """A YAML file `id: name`; a name may be followed by synonyms. Raises DatasetError naming the file."""
    content = read_names_of_ids(path, DatasetError)
    try:
        vocabulary = Vocabulary(tuple(VocabularyEntry.parse(name) for name in content.values()))
    except VocabularyError as error:
        raise DatasetError(f"{path}: {error}") from None
    return ClassList(vocabulary, tuple(content))

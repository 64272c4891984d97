"""`create_dataset`: the one way to a labelled data set."""

from __future__ import annotations

from pathlib import Path

from errseg_model.datasets.ade20k import ADE20K_150, ADE20K_847
from errseg_model.datasets.camvid import CAMVID
from errseg_model.datasets.coco_stuff import COCO_STUFF
from errseg_model.datasets.driving import BDD100K, CITYSCAPES, MAPILLARY, MAPILLARY_2
from errseg_model.datasets.pascal import PASCAL_CONTEXT_59, PASCAL_CONTEXT_459, VOC_20
from errseg_model.datasets.reader import Dataset
from errseg_model.datasets.specification import DatasetError, DatasetSpecification

_SPECIFICATIONS: dict[str, DatasetSpecification] = {
    specification.name: specification
    for specification in (
        CAMVID,
        CITYSCAPES,
        BDD100K,
        MAPILLARY,
        MAPILLARY_2,
        ADE20K_150,
        ADE20K_847,
        PASCAL_CONTEXT_59,
        PASCAL_CONTEXT_459,
        VOC_20,
        COCO_STUFF,
    )
}


def list_datasets() -> tuple[str, ...]:
    """Names of the data sets that are known."""
    return tuple(_SPECIFICATIONS)


def dataset_specification(name: str) -> DatasetSpecification:
    """What describes data set `name`. Raises DatasetError with the names there are."""
    if name not in _SPECIFICATIONS:
        raise DatasetError(f"unknown data set {name!r}: expected one of {', '.join(_SPECIFICATIONS)}")
    return _SPECIFICATIONS[name]


def create_dataset(name: str, root: str | Path, split: str | None = None) -> Dataset:
    """A split of a data set, without reading its pictures yet.

    Args:
        name: one of `list_datasets()`.
        root: the data set's folder.
        split: None takes the one that figures are published for.

    Raises:
        DatasetError: unknown name or split, or files that are not where the data set has them.
    """
    return Dataset.open(dataset_specification(name), root, split)

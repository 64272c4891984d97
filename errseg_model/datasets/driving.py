"""Cityscapes, BDD100K and Mapillary Vistas.

Cityscapes (Cordts et al., 2016): `leftImg8bit` and `gtFine`, labels as published (`*_labelIds.png`), or as the
cityscapesScripts convert them (`*_labelTrainIds.png`). 19 of its 34 ids are evaluated.

BDD100K (Yu et al., 2020): the 10K images with `labels/sem_seg/masks`, or the release before it, `seg`.

Mapillary Vistas (Neuhold et al., 2017): labels v1.2, as they lie in release 2.0 and in those before it; 65 classes,
`mapillary-2.0` reads labels v2.0; its classes are those that `config_v2.0.json` says are evaluated.
"""

from __future__ import annotations

import json
from pathlib import Path

from errseg_model.datasets.class_lists import ClassList, packaged
from errseg_model.datasets.specification import DatasetError, DatasetSpecification, Layout
from errseg_model.vocabulary import Vocabulary, VocabularyEntry, VocabularyError

_VOID_8_BIT = (255,)

CITYSCAPES = DatasetSpecification(
    name="cityscapes",
    title="Cityscapes",
    folder="cityscapes",
    classes=packaged("cityscapes"),
    splits={"val": "val", "train": "train"},
    layouts=(
        Layout(
            "leftImg8bit/{split}/{name}_leftImg8bit.png",
            "gtFine/{split}/{name}_gtFine_labelIds.png",
            void=range(34),  # those of them that the class list lacks
        ),
        Layout(
            "leftImg8bit/{split}/{name}_leftImg8bit.png",
            "gtFine/{split}/{name}_gtFine_labelTrainIds.png",
            pixel="position",
            void=_VOID_8_BIT,
        ),
    ),
)

BDD100K = DatasetSpecification(
    name="bdd100k",
    title="BDD100K",
    folder="bdd100k",
    classes=packaged("cityscapes"),
    splits={"val": "val", "train": "train"},
    layouts=(
        Layout(
            "images/10k/{split}/{name}.jpg",
            "labels/sem_seg/masks/{split}/{name}.png",
            pixel="position",
            void=_VOID_8_BIT,
        ),
        Layout(
            "seg/images/{split}/{name}.jpg",
            "seg/labels/{split}/{name}_train_id.png",
            pixel="position",
            void=_VOID_8_BIT,
        ),
    ),
)

_MAPILLARY_SPLITS = {"val": "validation", "train": "training"}
_UNLABELED = 65

MAPILLARY = DatasetSpecification(
    name="mapillary",
    title="Mapillary Vistas v1.2",
    folder="mapillary-vistas",
    classes=packaged("mapillary_vistas"),
    splits=_MAPILLARY_SPLITS,
    layouts=(
        Layout("{split}/images/{name}.jpg", "{split}/v1.2/labels/{name}.png", void=(_UNLABELED,)),
        Layout("{split}/images/{name}.jpg", "{split}/labels/{name}.png", void=(_UNLABELED,)),
    ),
)


def mapillary_config(root: Path) -> ClassList:
    """The classes that `config_v2.0.json` marks to be evaluated, by its readable names."""
    path = root / "config_v2.0.json"
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        ids = tuple(label for label, entry in enumerate(labels) if entry["evaluate"])
        names = tuple(VocabularyEntry(labels[label]["readable"]) for label in ids)
        void = tuple(label for label in range(len(labels)) if label not in ids)
        return ClassList(Vocabulary(names), ids, void)
    except (OSError, UnicodeDecodeError, LookupError, TypeError, json.JSONDecodeError, VocabularyError) as error:
        raise DatasetError(
            f"{path} must be the file of that name in Mapillary Vistas 2.0, a list of labels with `readable` and "
            f"`evaluate`: {type(error).__name__}: {error}"
        ) from None


MAPILLARY_2 = DatasetSpecification(
    name="mapillary-2.0",
    title="Mapillary Vistas v2.0",
    folder="mapillary-vistas",
    classes=mapillary_config,
    splits=_MAPILLARY_SPLITS,
    layouts=(Layout("{split}/images/{name}.jpg", "{split}/v2.0/labels/{name}.png"),),
)

"""CamVid with the 11 classes of the SegNet tutorial, 360 x 480 (Brostow, Fauqueur, Cipolla, 2009)."""

from __future__ import annotations

from pathlib import Path

from errseg_model.datasets.class_lists import packaged
from errseg_model.datasets.specification import DatasetSpecification, Layout

_CLASSES = packaged("camvid")

CLASSES = _CLASSES(Path()).vocabulary.names

VOID = len(CLASSES)
"""Label that does not count."""

CAMVID = DatasetSpecification(
    name="camvid",
    title="CamVid",
    folder="camvid",
    classes=_CLASSES,
    splits={"test": "test", "train": "train", "val": "val"},
    layouts=(
        Layout("{split}/images/{name}.png", "{split}/labels/{name}.png", void=(VOID,)),
        Layout("{split}/images/{name}.jpg", "{split}/labels/{name}.png", void=(VOID,)),
        Layout("{split}/{name}.png", "{split}annot/{name}.png", void=(VOID,)),  # as the tutorial publishes it
    ),
)

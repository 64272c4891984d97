"""COCO-Stuff (Caesar et al., 2018) on COCO 2017, 171 classes: what ERR-Seg is trained on.

Labels: the pixel maps as published (`annotations`, as ERR-Seg's instructions unpack them, or `stuffthingmaps`), or
those that scripts for detectron2 make of them, whose values are positions in the list of classes
(`annotations_detectron2`, `stuffthingmaps_detectron2`). 255 does not count; nor do the eleven ids of the published maps
that have no pixels. Converted labels go before published ones.
"""

from __future__ import annotations

from errseg_model.datasets.class_lists import packaged
from errseg_model.datasets.specification import DatasetSpecification, Layout

_PICTURES = "images/{split}/{name}.jpg"
_VOID_8_BIT = 255

COCO_STUFF = DatasetSpecification(
    name="coco-stuff",
    title="COCO-Stuff with 171 classes",
    folder="coco-stuff",
    classes=packaged("coco_stuff"),
    splits={"val": "val2017", "train": "train2017"},
    layouts=(
        *(
            Layout(_PICTURES, f"{folder}/{{split}}/{{name}}.png", pixel="position", void=(_VOID_8_BIT,))
            for folder in ("annotations_detectron2", "stuffthingmaps_detectron2")
        ),
        *(
            Layout(_PICTURES, f"{folder}/{{split}}/{{name}}.png", void=(*range(182), _VOID_8_BIT))
            for folder in ("annotations", "stuffthingmaps")
        ),
    ),
)

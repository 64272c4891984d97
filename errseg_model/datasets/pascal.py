"""PASCAL VOC 2012 (Everingham et al.) and PASCAL Context (Mottaghi et al., 2014), the latter on VOC 2010's pictures.

VOC, 20 classes: palette images as published, or those that detectron2's script made of them. Background does not
count, as in the tables of open-vocabulary segmentation.

PASCAL Context is published as MATLAB and JSON files; read are the images that the usual scripts make of them. 59
classes: those of detectron2's script (`pc59_val`), or of mmsegmentation's (`SegmentationClassContext`). 459 classes:
the 16-bit ones of detectron2's script (`pc459_val`).
"""

from __future__ import annotations

from errseg_model.datasets.class_lists import packaged
from errseg_model.datasets.specification import DatasetSpecification, Layout

_PICTURES = "JPEGImages/{name}.jpg"
_BACKGROUND, _VOID_8_BIT, _VOID_16_BIT = 0, 255, 65535

VOC_20 = DatasetSpecification(
    name="voc-20",
    title="PASCAL VOC 2012 with 20 classes",
    folder="VOCdevkit/VOC2012",
    classes=packaged("voc_20"),
    splits={"val": "val", "train": "train"},
    layouts=(
        Layout(
            _PICTURES,
            "SegmentationClass/{name}.png",
            names="ImageSets/Segmentation/{split}.txt",
            void=(_BACKGROUND, _VOID_8_BIT),
        ),
        Layout(
            _PICTURES,
            "annotations_detectron2/{split}/{name}.png",
            names="label",
            pixel="position",
            void=(_VOID_8_BIT,),
        ),
    ),
    max_classes=16,
)

PASCAL_CONTEXT_59 = DatasetSpecification(
    name="pascal-context-59",
    title="PASCAL Context with 59 classes",
    folder="VOCdevkit/VOC2010",
    classes=packaged("pascal_context_59"),
    splits={"val": "val", "train": "train"},
    layouts=(
        Layout(
            _PICTURES,
            "annotations_detectron2/pc59_{split}/{name}.png",
            names="label",
            pixel="position",
            void=(_VOID_8_BIT,),
        ),
        Layout(
            _PICTURES,
            "SegmentationClassContext/{name}.png",
            names="ImageSets/SegmentationContext/{split}.txt",
            void=(_BACKGROUND, _VOID_8_BIT),
        ),
    ),
    max_classes=24,
)

PASCAL_CONTEXT_459 = DatasetSpecification(
    name="pascal-context-459",
    title="PASCAL Context with 459 classes",
    folder="VOCdevkit/VOC2010",
    classes=packaged("pascal_context_459"),
    splits={"val": "val", "train": "train"},
    layouts=(
        Layout(
            _PICTURES,
            "annotations_detectron2/pc459_{split}/{name}.tif",
            names="label",
            pixel="position",
            void=(459, _VOID_16_BIT),
        ),
    ),
    max_classes=48,
)

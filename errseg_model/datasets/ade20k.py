"""ADE20K (Zhou et al., 2017) with 150 classes, the scene parsing benchmark, and with 847, the full release.

The 847 classes are read as open-vocabulary segmentation is measured on them: pictures and 16-bit labels that
detectron2's script made of the full release, the shorter side 512 pixels at most. Where they are absent, the full
release itself is read, at its own size; every id that is not among the 847 is void in both.
"""

from __future__ import annotations

from errseg_model.datasets.class_lists import packaged
from errseg_model.datasets.specification import DatasetSpecification, Layout

_SPLITS = {"val": "validation", "train": "training"}

ADE20K_150 = DatasetSpecification(
    name="ade20k-150",
    title="ADE20K with 150 classes",
    folder="ADEChallengeData2016",
    classes=packaged("ade20k_150"),
    splits=_SPLITS,
    layouts=(Layout("images/{split}/{name}.jpg", "annotations/{split}/{name}.png", void=(0,)),),
    max_classes=32,
)

ADE20K_847 = DatasetSpecification(
    name="ade20k-847",
    title="ADE20K with 847 classes",
    folder="ADE20K_2021_17_01",
    classes=packaged("ade20k_847"),
    splits=_SPLITS,
    layouts=(
        Layout(
            "images_detectron2/{split}/{name}.jpg",
            "annotations_detectron2/{split}/{name}.tif",
            pixel="position",
            void=(65535,),
        ),
        Layout(
            "images/ADE/{split}/{name}.jpg",
            "images/ADE/{split}/{name}_seg.png",
            names="label",
            pixel="ade20k",
            void=range(65536),
        ),
    ),
    max_classes=48,
)

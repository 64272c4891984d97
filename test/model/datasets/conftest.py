"""Tiny folders in the published layout of every data set, written as the data sets' own files are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SIZE = (12, 20)
NAMES = ("b_1", "a_2", "a_1")
_CONFIG = {
    "labels": [
        {"name": "object--bird", "readable": "Bird", "evaluate": True},
        {"name": "void--ground", "readable": "Ground", "evaluate": False},
        {"name": "marking--dashed", "readable": "Lane Marking - Dashed Line", "evaluate": True},
    ]
}


@dataclass(frozen=True)
class Published:
    """A folder as it is published: three pictures, their labels in vertical bands of one value each."""

    dataset: str
    split: str
    picture: str
    label: str
    values: Mapping[int, str | None]
    """Values in the label files and the class that they mean; None does not count."""
    kind: str = "grey"
    """Of the label files: grey, palette, 16 bits, lzw (16 bits, compressed) or ade20k (red and green)."""
    further: Mapping[str, str] = field(default_factory=dict)
    """Text files beside them."""
    led_by: str = "picture"
    """What says which pictures there are, so that its other half must exist: picture or label."""


LISTED = "\n".join(NAMES) + "\n"
PUBLISHED = {
    "camvid": Published(
        "camvid", "test", "test/images/{}.png", "test/labels/{}.png", {0: "sky", 3: "road", 10: "bicyclist", 11: None}
    ),
    "camvid-jpg": Published("camvid", "val", "val/images/{}.jpg", "val/labels/{}.png", {8: "car", 11: None}),
    "camvid-tutorial": Published("camvid", "test", "test/{}.png", "testannot/{}.png", {8: "car", 11: None}),
    "cityscapes": Published(
        "cityscapes",
        "val",
        "leftImg8bit/val/ulm/{}_leftImg8bit.png",
        "gtFine/val/ulm/{}_gtFine_labelIds.png",
        {7: "road", 24: "person", 33: "bicycle", 0: None, 5: None, 29: None},
    ),
    "cityscapes-train-ids": Published(
        "cityscapes",
        "train",
        "leftImg8bit/train/ulm/{}_leftImg8bit.png",
        "gtFine/train/ulm/{}_gtFine_labelTrainIds.png",
        {0: "road", 11: "person", 18: "bicycle", 255: None},
    ),
    "bdd100k": Published(
        "bdd100k",
        "val",
        "images/10k/val/{}.jpg",
        "labels/sem_seg/masks/val/{}.png",
        {0: "road", 10: "sky", 18: "bicycle", 255: None},
    ),
    "bdd100k-first": Published(
        "bdd100k", "train", "seg/images/train/{}.jpg", "seg/labels/train/{}_train_id.png", {13: "car", 255: None}
    ),
    "mapillary": Published(
        "mapillary",
        "val",
        "validation/images/{}.jpg",
        "validation/v1.2/labels/{}.png",
        {0: "bird", 13: "road", 64: "ego vehicle", 65: None},
        "palette",
    ),
    "mapillary-first": Published(
        "mapillary",
        "train",
        "training/images/{}.jpg",
        "training/labels/{}.png",
        {27: "sky", 55: "car", 65: None},
        "palette",
    ),
    "mapillary-2.0": Published(
        "mapillary-2.0",
        "val",
        "validation/images/{}.jpg",
        "validation/v2.0/labels/{}.png",
        {0: "Bird", 2: "Lane Marking - Dashed Line", 1: None},
        "palette",
        {"config_v2.0.json": json.dumps(_CONFIG)},
    ),
    "ade20k-150": Published(
        "ade20k-150",
        "val",
        "images/validation/{}.jpg",
        "annotations/validation/{}.png",
        {1: "wall", 3: "sky", 150: "flag", 0: None},
    ),
    "ade20k-847": Published(
        "ade20k-847",
        "val",
        "images_detectron2/validation/{}.jpg",
        "annotations_detectron2/validation/{}.tif",
        {0: "wall", 255: "pier", 256: "shanties", 846: "adding machine", 65535: None},
        "16 bits",
    ),
    "ade20k-847-lzw": Published(
        "ade20k-847",
        "train",
        "images_detectron2/training/{}.jpg",
        "annotations_detectron2/training/{}.tif",
        {1: "building", 300: "altar", 65535: None},
        "lzw",
    ),
    "ade20k-847-full": Published(
        "ade20k-847",
        "val",
        "images/ADE/validation/urban/street/{}.jpg",
        "images/ADE/validation/urban/street/{}_seg.png",
        {2978: "wall", 312: "building", 6: "ad", 3148: "adding machine", 0: None, 2979: None, 3687: None},
        "ade20k",
        # A picture's instances and parts, which are no label files.
        {f"images/ADE/validation/urban/street/{NAMES[0]}/instance_000_{NAMES[0]}.png": ""},
        led_by="label",
    ),
    "pascal-context-59": Published(
        "pascal-context-59",
        "val",
        "JPEGImages/{}.jpg",
        "annotations_detectron2/pc59_val/{}.png",
        {0: "aeroplane", 49: "diningtable", 58: "wood", 255: None},
        led_by="label",
    ),
    "pascal-context-59-mmsegmentation": Published(
        "pascal-context-59",
        "train",
        "JPEGImages/{}.jpg",
        "SegmentationClassContext/{}.png",
        {1: "aeroplane", 59: "wood", 0: None},
        "palette",
        {"ImageSets/SegmentationContext/train.txt": LISTED},
    ),
    "pascal-context-459": Published(
        "pascal-context-459",
        "val",
        "JPEGImages/{}.jpg",
        "annotations_detectron2/pc459_val/{}.tif",
        {0: "accordion", 283: "person", 458: "wool", 459: None, 65535: None},
        "16 bits",
        led_by="label",
    ),
    "voc-20": Published(
        "voc-20",
        "val",
        "JPEGImages/{}.jpg",
        "SegmentationClass/{}.png",
        {1: "aeroplane", 15: "person", 20: "tvmonitor", 0: None, 255: None},
        "palette",
        {"ImageSets/Segmentation/val.txt": LISTED},
    ),
    "voc-20-detectron2": Published(
        "voc-20",
        "val",
        "JPEGImages/{}.jpg",
        "annotations_detectron2/val/{}.png",
        {0: "aeroplane", 19: "tvmonitor", 255: None},
        led_by="label",
    ),
    "coco-stuff": Published(
        "coco-stuff",
        "train",
        "images/train2017/{}.jpg",
        "stuffthingmaps/train2017/{}.png",
        {0: "person", 89: "toothbrush", 91: "banner", 181: "wood", 11: None, 90: None, 255: None},
    ),
    "coco-stuff-detectron2": Published(
        "coco-stuff",
        "val",
        "images/val2017/{}.jpg",
        "stuffthingmaps_detectron2/val2017/{}.png",
        {0: "person", 79: "toothbrush", 80: "banner", 170: "wood", 255: None},
    ),
    "coco-stuff-err-seg": Published(
        "coco-stuff",
        "train",
        "images/train2017/{}.jpg",
        "annotations/train2017/{}.png",
        {0: "person", 89: "toothbrush", 91: "banner", 181: "wood", 11: None, 90: None, 255: None},
    ),
    "coco-stuff-err-seg-detectron2": Published(
        "coco-stuff",
        "val",
        "images/val2017/{}.jpg",
        "annotations_detectron2/val2017/{}.png",
        {0: "person", 79: "toothbrush", 80: "banner", 170: "wood", 255: None},
    ),
}


def bands(values: Mapping[int, str | None]) -> NDArray[np.int64]:
    """(H, W) of SIZE, every value in a band of its own."""
    height, width = SIZE
    order = np.array(list(values))
    return np.tile(order[np.arange(width) * len(order) // width], (height, 1))


def write_label(path: Path, values: NDArray[np.int64], kind: str) -> None:
    if kind == "ade20k":
        image = Image.fromarray(np.stack([values // 256 * 10, values % 256, values % 7], axis=2).astype(np.uint8))
    elif kind in ("16 bits", "lzw"):
        image = Image.fromarray(values.astype(np.uint16))
    else:
        image = Image.fromarray(values.astype(np.uint8))
    if kind == "palette":
        image.putpalette([(index * step) % 256 for index in range(256) for step in (37, 91, 151)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"compression": "tiff_lzw"} if kind == "lzw" else {}))


@pytest.fixture
def publish(tmp_path: Path) -> Callable[[Published], Path]:
    """Write a folder and return it."""

    def write(published: Published) -> Path:
        for number, name in enumerate(NAMES):
            picture = tmp_path / published.picture.format(name)
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", SIZE[::-1], (200, 100, 50 + number)).save(picture)
            write_label(tmp_path / published.label.format(name), bands(published.values), published.kind)
        for path, text in published.further.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    return write


@pytest.fixture
def every_layout() -> tuple[Published, ...]:
    """All of them."""
    return tuple(PUBLISHED.values())


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> Published:
    """Every layout in turn."""
    return PUBLISHED[request.param]

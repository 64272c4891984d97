"""CamVid with the 11 classes of the SegNet tutorial, 360 x 480 (Brostow, Fauqueur, Cipolla, 2009)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import InputError

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
VOID = 11
"""Label that does not count."""

SPLITS = ("train", "val", "test")


class DatasetError(InputError):
    """A data set's folder that is not as it should be."""


@dataclass(frozen=True)
class LabelledImage:
    """One picture and its truth."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    labels: NDArray[np.uint8]
    """(H, W) class ids; other ids than those of the data set's classes do not count."""


class CamVid:
    """One split of CamVid, in the order of its file names: `ROOT/SPLIT/images` and `ROOT/SPLIT/labels`."""

    classes = CLASSES

    def __init__(self, root: str | Path, split: str) -> None:
        """Raises DatasetError: unknown split, no such folder, no pictures, or a picture without labels."""
        if split not in SPLITS:
            raise DatasetError(f"unknown split {split!r} of CamVid: expected one of {', '.join(SPLITS)}")
        folder = Path(root) / split
        if not (folder / "images").is_dir():
            raise DatasetError(f"{folder / 'images'} is no folder: --root must hold {split}/images and {split}/labels")
        self.images = sorted(p for p in (folder / "images").iterdir() if p.suffix in (".png", ".jpg"))
        if not self.images:
            raise DatasetError(f"{folder / 'images'} holds no .png or .jpg pictures")
        self._labels = folder / "labels"
        for path in self.images:
            if not self._label_path(path).is_file():
                raise DatasetError(f"{path} has no labels: expected {self._label_path(path)}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> LabelledImage:
        path = self.images[index]
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        labels = cv2.imread(str(self._label_path(path)), cv2.IMREAD_UNCHANGED)
        if image is None or labels is None:
            raise DatasetError(f"{path} or its labels cannot be decoded")
        if labels.shape != image.shape[:2]:
            raise DatasetError(f"labels of {path} are {labels.shape}, expected {image.shape[:2]} and one channel")
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return LabelledImage(path.stem, np.asarray(rgb, np.uint8), np.asarray(labels, np.uint8))

    def __iter__(self) -> Iterator[LabelledImage]:
        return (self[index] for index in range(len(self)))

    def _label_path(self, image: Path) -> Path:
        return self._labels / f"{image.stem}.png"

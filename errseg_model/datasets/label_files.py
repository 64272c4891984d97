"""Label files, of up to 16 bits a pixel, to positions in the list of classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errseg_model.datasets.class_lists import ClassList
from errseg_model.datasets.specification import DatasetError, Layout
from errseg_model.wording import listed

_VALUES = 1 << 16
_UNKNOWN = 65535  # no position: a vocabulary has at most 1000 entries
_SHOWN_VALUES = 5
_DEEP_MODES = ("I", "F")  # of Pillow: 16 and 32 bits, and floating point
PNG = b"\x89PNG\r\n\x1a\n"
"""What a file of that format begins with."""

HEAD_BYTES = 26
"""Of a PNG, to the bits a pixel and the kind of colour, which are always there."""

_GREY = 0
_STEPS = {1: 255, 2: 85, 4: 17}  # by bits a pixel


@dataclass(frozen=True)
class LabelFiles:
    """How the label files of a layout are read."""

    layout: Layout
    classes: ClassList

    def read(self, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(H, W) positions of classes; the number of classes where a pixel does not count.

        Raises DatasetError: no picture, not one value a pixel, or a value that the data set does not know.
        """
        values = self._values(path, decode(path, None))
        positions: NDArray[np.uint16] = self._positions[np.clip(values, -1, _VALUES)]
        unknown = positions == _UNKNOWN
        if unknown.any():
            found = listed(np.unique(values[unknown]).tolist(), _SHOWN_VALUES)
            raise DatasetError(f"labels {path} have values that the data set does not know: {found}")
        return positions.astype(np.uint8) if len(self.classes.ids) < 256 else positions

    def _values(self, path: Path, pixels: NDArray[np.generic]) -> NDArray[np.int32]:
        expected = 3 if self.layout.pixel == "ade20k" else 1
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        if not np.issubdtype(pixels.dtype, np.integer) or channels != expected:
            kind = "a number in red and green" if expected == 3 else "one whole number"
            raise DatasetError(f"labels {path} have {channels} channels of {pixels.dtype}, expected {kind} a pixel")
        values = pixels.astype(np.int32)
        return values if expected == 1 else values[..., 0] // 10 * 256 + values[..., 1]

    @cached_property
    def _positions(self) -> NDArray[np.uint16]:
        """(65537,) position of a value's class, the number of classes for void, or _UNKNOWN.

        The last element, which is also element -1, stands for values beyond 16 bits.
        """
        count = len(self.classes.ids)
        table = np.full(_VALUES + 1, _UNKNOWN, np.uint16)
        table[list(self.layout.void)] = count
        if self.layout.pixel == "position":
            table[:count] = np.arange(count)
        else:
            table[list(self.classes.void)] = count
            table[list(self.classes.ids)] = np.arange(count)
        return table


def decode(path: Path, mode: str | None) -> NDArray[np.generic]:
    """The pixels as they are stored, palette images as indices; `mode` RGB converts to (H, W, 3) uint8.

    Neither turns a picture as its EXIF data says: labels are drawn on the pixels that are stored.

    Raises DatasetError: no picture, or, where `mode` is RGB, one of more than 8 bits a channel.
    """
    try:
        # Pillow and not OpenCV, which has no way to the indices of a palette image.
        with Image.open(path) as image:
            if mode and image.mode.startswith(_DEEP_MODES):  # convert would cut off what is above 255
                raise DatasetError(f"{path} has more than 8 bits a pixel ({image.mode}): convert it to 8 bits")
            if mode:
                return np.array(image.convert(mode))
            pixels = np.array(image)
            if image.mode == "1":
                return pixels.astype(np.uint8)
            with path.open("rb") as file:
                return pixels // grey_step(file.read(HEAD_BYTES))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} cannot be decoded as a picture: {reason}") from None


def grey_step(start: bytes) -> int:
    """What decoders multiply pixels by, from the start of a file: they spread grey PNGs of few bits over 0..255."""
    if len(start) < HEAD_BYTES or not start.startswith(PNG) or start[25] != _GREY:
        return 1
    return _STEPS.get(start[24], 1)

"""The legend of a picture: the colour and the name of every class in it, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONT_FILES = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc")
"""Those of the system that are tried, in this order."""

_SHARE = 0.3  # of the picture's height, at most
_DIM = 0.3  # of the picture's brightness stays under the legend
_INK = (255, 255, 255)
_NOT_A_CHARACTER = "\U0010ffff"  # what a font draws for this, it draws for every character that it lacks

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Label(NamedTuple):
    """What the legend says of a class; without a colour, of those that do not fit. Widths in pixels."""

    colour: tuple[int, int, int] | None
    text: str
    font: Font
    indent: int
    width: int


class Chip(NamedTuple):
    """A label in its place: row from the top, x from the left in pixels."""

    row: int
    x: int
    label: Label


def draw_legend(
    picture: NDArray[np.uint8], mask: NDArray[np.uint16], names: Sequence[str], colours: NDArray[np.uint8]
) -> None:
    """Draw rows of colours and names over the lower edge of a picture, in place; nothing where none fits.

    Args:
        picture: (H, W, 3) RGB.
        mask: (H, W) positions among the T classes; pixels with any other value are not named.
        names: T of them.
        colours: (T, 3) RGB.
    """
    height, width = mask.shape
    size = min(max(min(height, width) // 32, 12), 32)
    row_height = size + size // 2
    chips, rows = arrange(
        labels_of(mask, names, colours, size, width // 2), size, width, int(height * _SHARE) // row_height
    )
    if not chips:
        return
    band = picture[height - rows * row_height :]
    dimmed = Image.fromarray(cv2.convertScaleAbs(band, alpha=_DIM))
    draw = ImageDraw.Draw(dimmed)
    for chip in chips:
        top = chip.row * row_height + size // 4
        if chip.label.colour is not None:
            corners = (chip.x, top, chip.x + size - 1, top + size - 1)
            draw.rectangle(corners, fill=chip.label.colour, outline=_INK)
        draw.text((chip.x + chip.label.indent, top), chip.label.text, fill=_INK, font=chip.label.font)
    band[:] = np.asarray(dimmed)


def labels_of(
    mask: NDArray[np.uint16], names: Sequence[str], colours: NDArray[np.uint8], size: int, max_width: int
) -> list[Label]:
    """A label for every class in the mask, the largest first: arguments as of `draw_legend`, and pixels of the text."""
    counts = np.bincount(mask.ravel(), minlength=len(names))[: len(names)]
    labels = []
    for position in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        red, green, blue = colours[position].tolist()
        share = counts[position] / mask.size
        text, font = text_of(names[position], size, max_width)
        labels.append(
            _label((red, green, blue), f"{text} {share:.0%}" if share >= 0.005 else f"{text} <1%", font, size)
        )
    return labels


def _label(colour: tuple[int, int, int] | None, text: str, font: Font, size: int) -> Label:
    indent = 0 if colour is None else size + size // 3
    return Label(colour, text, font, indent, indent + int(width_of(text, font)) + 1)


def arrange(labels: list[Label], size: int, width: int, max_rows: int) -> tuple[list[Chip], int]:
    """The labels in rows from left to right, and how many rows; of what does not fit only the number.

    Args:
        labels: the first first.
        size: height of the text in pixels.
        width: of the picture in pixels.
        max_rows: how many fit in.
    """
    chips: list[Chip] = []
    row, x = 0, size // 2
    for label in labels:
        if x + label.width > width and chips:
            row, x = row + 1, size // 2
        if row >= max_rows or x + label.width > width:
            break
        chips.append(Chip(row, x, label))
        x += label.width + size
    while chips and len(chips) < len(labels):
        last = chips[-1]
        more = _label(None, f"+ {len(labels) - len(chips)} more", fonts_of(size)[0], size)
        x = last.x + last.label.width + size
        if x + more.width <= width:
            return [*chips, Chip(last.row, x, more)], last.row + 1
        chips.pop()
    return chips, chips[-1].row + 1 if chips else 0


@lru_cache(maxsize=4096)
def text_of(name: str, size: int, max_width: int) -> tuple[str, Font]:
    """The name in the font that has most of it, with ``?`` for what that lacks, cut to a width in pixels."""
    name = " ".join(name.split())
    font = min(fonts_of(size), key=lambda font: sum(not _has(font, character) for character in name))
    text = "".join(character if _has(font, character) else "?" for character in name)
    if width_of(text, font) > max_width:
        while text and width_of(text + "...", font) > max_width:
            text = text[:-1]
        text = text.rstrip() + "..."
    return text, font


@lru_cache(maxsize=8)
def fonts_of(size: int) -> tuple[Font, ...]:
    """The system's fonts of many scripts where there are any, then the one that ships with Pillow."""
    fonts: list[Font] = []
    for file in FONT_FILES:
        try:
            fonts.append(ImageFont.truetype(file, size))
        except OSError:
            continue
    try:
        return (*fonts, ImageFont.load_default(size))
    except TypeError:  # Pillow before 10.1 (ROS 2 Humble's Ubuntu) has a bitmap font of one size
        return (*fonts, ImageFont.load_default())


def width_of(text: str, font: Font) -> float:
    """In pixels."""
    return ImageDraw.Draw(Image.new("L", (1, 1))).textlength(text, font=font)


def _has(font: Font, character: str) -> bool:
    if isinstance(font, ImageFont.ImageFont):  # the bitmap font
        return ord(character) < 128
    drawn, missing = font.getmask(character), font.getmask(_NOT_A_CHARACTER)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)

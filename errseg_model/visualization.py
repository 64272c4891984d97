"""Pictures for people: a colour for every class name, a mask in colours, an overlay with a legend."""

from __future__ import annotations

import colorsys
import hashlib
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from errseg_model.result import UNLABELLED
from errseg_model.vocabulary import Vocabulary, VocabularyEntry

# The colours of Cityscapes, further apart where it has nearly the same for two vehicles, and everyday words
# for the same things. Of two words for one colour in a vocabulary the one that comes first here gets it.
_FAMILIAR_COLOURS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("road, street, roadway, carriageway, asphalt", (128, 64, 128)),
    ("sidewalk, pavement, footpath, footway, walkway", (244, 35, 232)),
    ("building, buildings, house, edifice, building-other", (70, 70, 70)),
    ("wall, wall-other", (102, 102, 156)),
    ("fence, fencing, railing, guard rail", (190, 153, 153)),
    ("pole, column, post, utility pole", (153, 153, 153)),
    ("traffic light, traffic lights, traffic signal", (250, 170, 30)),
    ("traffic sign, sign, road sign, sign symbol, signboard, traffic sign front", (220, 220, 0)),
    ("vegetation, tree, trees, foliage, bush, plant", (107, 142, 35)),
    ("terrain, grass, lawn, field, meadow", (152, 251, 152)),
    ("sky, sky-other", (70, 130, 180)),
    ("person, pedestrian, people, human, man, woman", (220, 20, 60)),
    ("rider, bicyclist, cyclist, motorcyclist", (255, 0, 0)),
    ("car, automobile, vehicle, auto, cars", (0, 0, 142)),
    ("truck, lorry, van", (80, 80, 200)),
    ("bus, coach", (0, 100, 130)),
    ("train, tram, on rails", (0, 170, 150)),
    ("motorcycle, motorbike, minibike", (0, 0, 255)),
    ("bicycle, bike, pushbike", (150, 30, 50)),
    ("lane marking, road marking, lane line", (255, 255, 255)),
    ("crosswalk, zebra crossing, plain crosswalk", (200, 128, 200)),
    ("curb, kerb", (230, 200, 160)),
    ("water, sea, river, lake, water-other", (0, 190, 230)),
)
_FAMILIAR: dict[str, tuple[int, int, int]] = {
    VocabularyEntry.parse(word).key: colour for words, colour in _FAMILIAR_COLOURS for word in words.split(",")
}
_RANKS = {key: rank for rank, key in enumerate(_FAMILIAR)}
_CANDIDATES = 24  # colours that a name tries, its own order of them, until one is far enough from the others
_FAR_ENOUGH = 22.0  # distance in CIELAB, where 2 is just noticeable side by side
_FAMILIAR_FAR_ENOUGH = 14.0  # as near as Cityscapes has them (pole and fence)
_BLACK = (0, 0, 0)

_FONT_FILES = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc")
_LEGEND_SHARE = 0.3  # of the picture's height, at most
_LEGEND_DIM = 0.3  # of the picture's brightness stays under the legend
_LEGEND_INK = (255, 255, 255)
_NOT_A_CHARACTER = "\U0010ffff"  # what a font draws for this, it draws for every character that it lacks

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=16)
def palette(vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """A colour (R, G, B) for every class of the vocabulary, (T, 3), read-only.

    A name has its colour in every vocabulary and at every position: well-known street classes that of
    Cityscapes, others one made from a hash of the name's key. Only where another class of the vocabulary has
    nearly the same colour, one of the two takes the next that its hash gives.
    """

    def turn(item: tuple[int, VocabularyEntry]) -> tuple[int, str]:
        return _RANKS.get(item[1].key, len(_RANKS)), item[1].key

    entries = sorted(enumerate(vocabulary.entries), key=turn)
    colours = np.zeros((len(entries), 3), np.uint8)
    taken = _lab(np.array([_BLACK], np.uint8))
    for position, entry in entries:
        candidates = _candidates(entry.key)
        lab = _lab(candidates)
        distances = np.linalg.norm(lab[:, None] - taken[None], axis=2).min(axis=1)
        needed = np.full(len(candidates), min(_FAR_ENOUGH, float(distances.max())))
        if entry.key in _FAMILIAR:
            needed[0] = _FAMILIAR_FAR_ENOUGH
        chosen = int(np.argmax(distances >= needed))
        colours[position] = candidates[chosen]
        taken = np.concatenate([taken, lab[chosen : chosen + 1]])
    colours.setflags(write=False)
    return colours


def colorize(mask: NDArray[np.uint16], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """The mask (H, W) of positions in the vocabulary in colours, (H, W, 3) RGB; unlabelled pixels are black.

    Raises ValueError for a mask of another kind or of another vocabulary.
    """
    _check_mask(mask, vocabulary)
    return _look_up(mask, vocabulary)


def overlay(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint16],
    vocabulary: Vocabulary,
    alpha: float = 0.5,
    legend: bool = True,
) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB under the colours of the mask (H, W), as a new (H, W, 3).

    `alpha` is the weight of the colours, 0 to 1; unlabelled pixels stay as they are. The legend names the
    classes in the picture, the largest first, and how much of it each covers. Raises ValueError for wrong
    shapes and types.
    """
    _check_mask(mask, vocabulary)
    if image.shape != (*mask.shape, 3) or image.dtype != np.uint8:
        expected = f"uint8 of shape {(*mask.shape, 3)}, as the mask has"
        raise ValueError(f"image: expected {expected}, got {image.dtype} of shape {image.shape}")
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha: expected 0 to 1, got {alpha}")
    image = np.ascontiguousarray(image)
    picture = np.asarray(cv2.addWeighted(image, 1.0 - alpha, _look_up(mask, vocabulary), alpha, 0.0), np.uint8)
    cv2.copyTo(image, (mask == UNLABELLED).view(np.uint8), picture)
    if legend:
        _draw_legend(picture, mask, vocabulary)
    return picture


def _candidates(key: str) -> NDArray[np.uint8]:
    """The colours a name may have, (N, 3), the first its own: not too dark, light or grey to tell apart."""
    digest = hashlib.sha256(key.encode()).digest()
    hue = int.from_bytes(digest[:4], "big") / 2**32
    colours = [_FAMILIAR[key]] if key in _FAMILIAR else []
    for number in range(_CANDIDATES):
        # Steps by the golden ratio spread hues evenly, however many are tried.
        lightness = (0.55, 0.38, 0.72)[(digest[4] + number) % 3]
        saturation = (0.85, 0.55)[(digest[5] + number // 3) % 2]
        red, green, blue = colorsys.hls_to_rgb((hue + number * 0.618034) % 1.0, lightness, saturation)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return np.array(colours, np.uint8)


def _lab(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(colours[None].astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[0], np.float32)


def _check_mask(mask: NDArray[np.uint16], vocabulary: Vocabulary) -> None:
    if mask.ndim != 2 or mask.dtype != np.uint16:
        raise ValueError(f"mask: expected uint16 of shape (H, W), got {mask.dtype} of shape {mask.shape}")
    # UNLABELLED is the largest number: adding one to all makes it 0, so that one comparison finds strangers.
    if mask.size and int((mask + np.uint16(1)).max()) > len(vocabulary):
        found = int(mask[mask != UNLABELLED].max())
        raise ValueError(f"mask: expected positions in a vocabulary of {len(vocabulary)} or {UNLABELLED}, got {found}")


def _look_up(mask: NDArray[np.uint16], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    packed = np.take(_table(vocabulary), mask)
    return np.asarray(cv2.cvtColor(packed.view(np.uint8).reshape(*mask.shape, 4), cv2.COLOR_RGBA2RGB), np.uint8)


@lru_cache(maxsize=16)
def _table(vocabulary: Vocabulary) -> NDArray[np.uint32]:
    """Colours by mask value, (65536,), each packed in four bytes: four times faster to look up than three."""
    table = np.zeros((UNLABELLED + 1, 4), np.uint8)
    table[: len(vocabulary), :3] = palette(vocabulary)
    return table.view(np.uint32)[:, 0]


def _draw_legend(picture: NDArray[np.uint8], mask: NDArray[np.uint16], vocabulary: Vocabulary) -> None:
    """Draws rows of colours and names over the picture's lower edge, in place; nothing where none fits."""
    height, width = mask.shape
    size = min(max(min(height, width) // 32, 12), 32)
    row_height = size + size // 2
    chips, rows = _arrange(
        _labels(mask, vocabulary, size, width // 2), size, width, int(height * _LEGEND_SHARE) // row_height
    )
    if not chips:
        return
    band = picture[height - rows * row_height :]
    dimmed = Image.fromarray(cv2.convertScaleAbs(band, alpha=_LEGEND_DIM))
    draw = ImageDraw.Draw(dimmed)
    for chip in chips:
        top = chip.row * row_height + size // 4
        if chip.label.colour is not None:
            corners = (chip.x, top, chip.x + size - 1, top + size - 1)
            draw.rectangle(corners, fill=chip.label.colour, outline=_LEGEND_INK)
        draw.text((chip.x + chip.label.indent, top), chip.label.text, fill=_LEGEND_INK, font=chip.label.font)
    band[:] = np.asarray(dimmed)


class _Label(NamedTuple):
    """What the legend says of a class; without a colour, of those that do not fit. Widths in pixels."""

    colour: tuple[int, int, int] | None
    text: str
    font: _Font
    indent: int
    width: int


class _Chip(NamedTuple):
    """A label in its place: row from the top, x from the left in pixels."""

    row: int
    x: int
    label: _Label


def _labels(mask: NDArray[np.uint16], vocabulary: Vocabulary, size: int, max_width: int) -> list[_Label]:
    """A label for every class in the mask, the largest first."""
    counts = np.bincount(mask.ravel(), minlength=len(vocabulary))[: len(vocabulary)]
    labels = []
    for position in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        red, green, blue = palette(vocabulary)[position].tolist()
        share = counts[position] / mask.size
        text, font = _text(vocabulary.names[position], size, max_width)
        labels.append(
            _label((red, green, blue), f"{text} {share:.0%}" if share >= 0.005 else f"{text} <1%", font, size)
        )
    return labels


def _label(colour: tuple[int, int, int] | None, text: str, font: _Font, size: int) -> _Label:
    indent = 0 if colour is None else size + size // 3
    return _Label(colour, text, font, indent, indent + int(_width(text, font)) + 1)


def _arrange(labels: list[_Label], size: int, width: int, max_rows: int) -> tuple[list[_Chip], int]:
    """The labels in rows from left to right, and how many rows; of what does not fit only the number."""
    chips: list[_Chip] = []
    row, x = 0, size // 2
    for label in labels:
        if x + label.width > width and chips:
            row, x = row + 1, size // 2
        if row >= max_rows or x + label.width > width:
            break
        chips.append(_Chip(row, x, label))
        x += label.width + size
    while chips and len(chips) < len(labels):
        last = chips[-1]
        more = _label(None, f"+ {len(labels) - len(chips)} more", _fonts(size)[0], size)
        x = last.x + last.label.width + size
        if x + more.width <= width:
            return [*chips, _Chip(last.row, x, more)], last.row + 1
        chips.pop()
    return chips, chips[-1].row + 1 if chips else 0


@lru_cache(maxsize=4096)
def _text(name: str, size: int, max_width: int) -> tuple[str, _Font]:
    """The name in the font that has most of it, with ``?`` for what that lacks, cut to the width."""
    name = " ".join(name.split())
    font = min(_fonts(size), key=lambda font: sum(not _has(font, character) for character in name))
    text = "".join(character if _has(font, character) else "?" for character in name)
    if _width(text, font) > max_width:
        while text and _width(text + "...", font) > max_width:
            text = text[:-1]
        text = text.rstrip() + "..."
    return text, font


@lru_cache(maxsize=8)
def _fonts(size: int) -> tuple[_Font, ...]:
    """The system's fonts of many scripts where there are any, then the one that ships with Pillow."""
    fonts: list[_Font] = []
    for file in _FONT_FILES:
        try:
            fonts.append(ImageFont.truetype(file, size))
        except OSError:
            continue
    try:
        return (*fonts, ImageFont.load_default(size))
    except TypeError:  # Pillow before 10.1 (ROS 2 Humble's Ubuntu) has a bitmap font of one size
        return (*fonts, ImageFont.load_default())


def _width(text: str, font: _Font) -> float:
    return ImageDraw.Draw(Image.new("L", (1, 1))).textlength(text, font=font)


def _has(font: _Font, character: str) -> bool:
    if isinstance(font, ImageFont.ImageFont):  # the bitmap font
        return ord(character) < 128
    drawn, missing = font.getmask(character), font.getmask(_NOT_A_CHARACTER)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)

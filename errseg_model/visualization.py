"""Pictures for people: a colour for every class name, and the image under the colours of its mask."""

from __future__ import annotations

import colorsys
import hashlib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.legend import draw_legend
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
_ALPHA = 0.5  # weight of the colours in an overlay


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


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint16], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB under the colours of the mask (H, W) of positions in the vocabulary, as a new (H, W, 3).

    Unlabelled pixels stay as they are. The legend names the classes in the picture, the largest first, and how much of
    it each covers. Raises ValueError for wrong shapes and types, and for a mask of another vocabulary.
    """
    _check_mask(mask, vocabulary)
    if image.shape != (*mask.shape, 3) or image.dtype != np.uint8:
        expected = f"uint8 of shape {(*mask.shape, 3)}, as the mask has"
        raise ValueError(f"image: expected {expected}, got {image.dtype} of shape {image.shape}")
    image = np.ascontiguousarray(image)
    picture = np.asarray(cv2.addWeighted(image, 1.0 - _ALPHA, _look_up(mask, vocabulary), _ALPHA, 0.0), np.uint8)
    cv2.copyTo(image, (mask == UNLABELLED).view(np.uint8), picture)
    draw_legend(picture, mask, vocabulary.names, palette(vocabulary))
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

"""What the pixels of label images mean: ids or colours, and the names of classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.datasets.label_files import HEAD_BYTES, PNG, grey_step
from errseg_model.errors import ImageError, InputError
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_model.yaml_files import read_names_of_ids, read_yaml
from errseg_ros.image_decoding import ids_from_image, is_compressed, rgb_from_image

_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")


@dataclass(frozen=True)
class LabelKey:
    """Names of ids, or of colours packed as 0xRRGGBB."""

    classes: tuple[VocabularyEntry, ...]
    """In the order of the ids; no key twice."""
    values: tuple[tuple[int, int], ...]
    """Id or colour, and position of its class."""
    coloured: bool = False

    @classmethod
    def of(cls, names: Iterable[tuple[int, str]], coloured: bool = False) -> LabelKey:
        """Of pairs of id or colour and name; several may share a name, and an empty name does not count.

        Raises InputError naming the id for a name that breaks a vocabulary's rules, and when no name is left.
        """
        entries: list[VocabularyEntry] = []
        ids: list[int] = []
        for value, name in names:
            if not name.strip():
                continue
            try:
                entry = VocabularyEntry.parse(name)
            except InputError as error:
                raise InputError(f"label {value}: {error}") from None
            entries.append(entry)
            ids.append(value)
        if not entries:
            raise InputError("the labels have no names")
        classes = united(entries)
        places = {entry.key: place for place, entry in enumerate(classes)}
        values = ((value, places[entry.key]) for value, entry in zip(ids, entries, strict=True))
        return cls(classes, tuple(values), coloured)

    def read(self, message: Any) -> NDArray[np.uint16]:
        """(H, W) positions of classes, len(classes) where a pixel does not count, of an image message, raw or PNG.

        Raises ImageError.
        """
        if self.coloured:
            pixels = _colours(message).astype(np.uint32)
            packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
            return np.asarray(np.take(self._table, packed))
        ids = _ids(message)
        return np.asarray(cv2.LUT(ids, self._bytes) if ids.dtype == np.uint8 else np.take(self._table, ids), np.uint16)

    @cached_property
    def _table(self) -> NDArray[np.uint16]:
        """Position by id or colour."""
        table = np.full(1 << (24 if self.coloured else 16), len(self.classes), np.uint16)
        for value, place in self.values:
            table[value] = place
        if not self.coloured:
            table[65535] = len(self.classes)
        return table

    @cached_property
    def _bytes(self) -> NDArray[np.uint16]:
        """Position by id of 8 bits."""
        table = self._table[:256].copy()
        table[255] = len(self.classes)
        return table


def read_label_names(path: Path) -> LabelKey:
    """The names of ids in a YAML file `id: name`. Raises InputError naming the file."""
    return _key_of_file(path, sorted(read_names_of_ids(path).items()), coloured=False)


def read_palette(path: Path) -> LabelKey:
    """The colours of classes in a YAML file `name: [r, g, b]` or `name: '#rrggbb'`. Raises InputError naming it."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} must be a YAML mapping of names to colours (road: [128, 64, 128] or '#804080')")
    pairs: dict[int, str] = {}
    for name, colour in content.items():
        packed = _packed(colour)
        if packed is None:
            raise InputError(f"{path}: the colour of {name!r} must be [r, g, b] or '#rrggbb', got {colour!r}")
        if packed in pairs:
            raise InputError(f"{path}: {name!r} and {pairs[packed]!r} have the same colour")
        pairs[packed] = str(name)
    return _key_of_file(path, pairs.items(), coloured=True)


def united(entries: Iterable[VocabularyEntry]) -> tuple[VocabularyEntry, ...]:
    """One entry for each key, in the order of the first ones, with the synonyms of all entries of that key."""
    found: dict[str, VocabularyEntry] = {}
    for entry in entries:
        first = found.setdefault(entry.key, entry)
        known = {_key(word) for word in (first.name, *first.synonyms)}
        added = tuple(synonym for synonym in entry.synonyms if _key(synonym) not in known)
        found[entry.key] = VocabularyEntry(first.name, (*first.synonyms, *added))
    return tuple(found.values())


def match_classes(vocabulary: Vocabulary, classes: Sequence[VocabularyEntry]) -> NDArray[np.int64]:
    """(T,) for every class of the vocabulary the position of the label's class that it means; len(classes) for none.

    Equal names (VocabularyEntry.key) go before everything else; then a synonym of the vocabulary's entry counts, and
    then one of the label.
    """
    places = {entry.key: place for place, entry in enumerate(classes)}
    for place, entry in enumerate(classes):
        for synonym in entry.synonyms:
            places.setdefault(_key(synonym), place)
    return np.array([_place(entry, places, len(classes)) for entry in vocabulary.entries], np.int64)


def folding(vocabulary: Vocabulary, classes: Sequence[VocabularyEntry]) -> NDArray[np.int64]:
    """(T + 1, classes + 1) of 0 and 1: pixels counted by entry, times this, are counted by the label's classes.

    The last row is of unlabelled pixels, the last column of those that are called none of the classes.
    """
    table = np.zeros((len(vocabulary) + 1, len(classes) + 1), np.int64)
    table[np.arange(len(vocabulary)), match_classes(vocabulary, classes)] = 1
    table[-1, -1] = 1
    return table


def _place(entry: VocabularyEntry, places: Mapping[str, int], none: int) -> int:
    keys = (_key(word) for word in (entry.name, *entry.synonyms))
    return next((places[key] for key in keys if key in places), none)


def _key(word: str) -> str:
    return VocabularyEntry(word).key


def _key_of_file(path: Path, pairs: Iterable[tuple[int, str]], coloured: bool) -> LabelKey:
    try:
        return LabelKey.of(pairs, coloured)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _packed(colour: Any) -> int | None:
    if isinstance(colour, str):
        match = _COLOUR.fullmatch(colour)
        return int(match[1], 16) if match else None
    if not isinstance(colour, list) or len(colour) != 3:
        return None
    if not all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in colour):
        return None
    red, green, blue = colour
    return int(red << 16 | green << 8 | blue)


def _ids(message: Any) -> NDArray[np.integer[Any]]:
    if not is_compressed(message):
        return ids_from_image(message)
    pixels = _decode_png(message, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2:
        raise ImageError("expected a PNG image of ids, with one channel, got colours: name them with --palette")
    return np.asarray(pixels // pixels.dtype.type(grey_step(bytes(message.data[:HEAD_BYTES]))))


def _colours(message: Any) -> NDArray[np.uint8]:
    if not is_compressed(message):
        return rgb_from_image(message)
    return np.asarray(cv2.cvtColor(_decode_png(message, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def _decode_png(message: Any, mode: int) -> NDArray[Any]:
    data = np.frombuffer(message.data, np.uint8)
    if data[: len(PNG)].tobytes() != PNG:
        raise ImageError(f"expected labels as PNG, which loses nothing, got format {message.format[:40]!r}")
    try:
        pixels = cv2.imdecode(data, mode)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageError(f"a PNG image of {data.size} bytes cannot be decoded")
    return np.asarray(pixels)

"""Files that are whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.errors import ImageError, InputError


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises ImageError."""
    if not os.path.isfile(path):  # Path.is_file raises where a folder above may not be read
        raise ImageError(f"image {path} does not exist or is not a file")
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except OSError as error:
        raise ImageError(f"image {path} cannot be read: {error.strerror}") from None
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"image {path} cannot be decoded: expected a PNG, JPEG or another picture OpenCV reads")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W) or (H, W, 3) RGB as PNG."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, encoded = cv2.imencode(".png", pixels)
    with whole(path) as partial:
        partial.write_bytes(encoded.tobytes())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write readable JSON."""
    with whole(path) as partial:
        write_text(partial, json_text(content))


def json_text(content: dict[str, Any]) -> str:
    """Readable JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write UTF-8; what a name of a file has that is none becomes an escape that JSON knows. Raises OSError."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(*paths: Path) -> str:
    """SHA-256 over the content of files, one after the other. Raises InputError."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def shown(path: str | Path) -> str:
    """A path for people and reports: its bytes need not be UTF-8, which they must be there."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def check_place(path: Path) -> None:
    """Find out before anything is computed that `path` cannot be written; makes nothing. Raises InputError."""
    if not path.name or os.path.isdir(path):  # no name: "", "." and "/"
        raise InputError(f"{path} cannot be written: it is a folder, expected a file in one")
    if (above := in_the_way(path.absolute().parent)) is not None:
        raise InputError(f"{path} cannot be written: {above} is no folder that this user may write to")


def in_the_way(folder: Path) -> Path | None:
    """What there is at or above a folder, where that is none that this user may make it in, or write to."""
    found = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    return None if os.path.isdir(found) and os.access(found, os.W_OK | os.X_OK) else found


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` only once the block has ended well.

    Raises InputError when the place cannot be written.
    """
    with whole_together(path) as (partial,):
        yield partial


@contextmanager
def whole_together(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Paths to write to that become `paths` once the block has ended well; else all files stay as they were.

    Raises InputError when a place cannot be written.
    """
    for path in paths:
        check_place(path)  # before the first file is replaced
    partials = tuple(path.with_name(f".{path.name}.partial") for path in paths)
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partials
            for path, partial in zip(paths, partials, strict=True):
                partial.replace(path)
        finally:
            for partial in partials:
                partial.unlink(missing_ok=True)
    except OSError as error:
        written = str(paths[0]) if len(paths) == 1 else f"{paths[0].parent} (for {', '.join(p.name for p in paths)})"
        raise InputError(f"{written} cannot be written: {error.strerror or error}") from None

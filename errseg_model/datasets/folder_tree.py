"""All files below a folder, whether a data set lies there or is put together from links."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """The files below `folder`, in no order, as paths that begin with it; none where it is no folder.

    Links to folders are followed, which `Path.rglob` does not. A folder is read once, by its own name where it lies
    below `folder`, else by that of a link to it: links may lead to each other.
    """
    if not os.path.isdir(folder):
        return
    read = {_identity(above) for above in Path(os.path.realpath(folder)).parents}
    places = deque([folder])
    while places:
        for place, folders, files in os.walk(places.popleft()):
            identity = _identity(place)
            if identity in read:
                folders.clear()
                continue
            read.add(identity)
            below = (Path(place, name) for name in sorted(folders))
            places.extend(path for path in below if path.is_symlink())
            yield from (Path(place, name) for name in files)


def _identity(folder: str | Path) -> tuple[int, int]:
    """Of a folder, whatever its name."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino

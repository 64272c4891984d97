"""What the masks look like: an overlay for every answer, the two sides of the change, an animation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from errseg_model.files import whole, write_image
from errseg_model.visualization import overlay
from errseg_ros.demo.frames import Frame, Source
from errseg_ros.demo.recording import Answer, Recording

BEFORE = "before.png"
AFTER = "after.png"
ANIMATION = "animation.webp"
OVERLAYS = "overlay_*.png"

_ANIMATION_WIDTH = 640
_ANIMATION_QUALITY = 75
_LAST_MS = 1000


def answered(source: Source, recording: Recording) -> Iterator[tuple[Frame, Answer]]:
    """Every answer with its frame, which is read again: a drive of 4K images does not fit into memory."""
    answers = iter(recording.answers)
    answer = next(answers, None)
    for number, frame in enumerate(source.frames()):
        while answer is not None and answer.frame == number:  # the last frame may have several
            yield frame, answer
            answer = next(answers, None)


@dataclass(frozen=True)
class _Slide:
    """A picture of the animation and the time it stands for."""

    picture: Image.Image
    sent_ns: int


class Pictures:
    """Writes pictures into a folder, one answer after the other in time."""

    def __init__(self, out: Path, change: int) -> None:
        """`change` is the number of the first answer under the second vocabulary."""
        self.count = 0
        self._out = out
        self._change = change
        self._slides: list[_Slide] = []

    def add(self, frame: Frame, answer: Answer) -> None:
        """Write the overlay of the next answer."""
        picture = overlay(frame.image, answer.mask, answer.vocabulary)
        write_image(self._out / OVERLAYS.replace("*", f"{self.count:04d}"), picture)
        if self.count == self._change - 1:
            write_image(self._out / BEFORE, picture)
        if self.count == self._change:
            write_image(self._out / AFTER, picture)
        self._slides.append(_Slide(Image.fromarray(_fitted(picture)), answer.sent_ns))
        self.count += 1

    def write_animation(self) -> None:
        """Write all overlays as one animation at the speed at which the masks came.

        WebP: a fifth of a GIF's size, all colours, and browsers and editors play it.
        """
        first, *others = self._slides
        size = first.picture.size  # an animation has one; a recording may have several
        stamps = [slide.sent_ns for slide in self._slides]
        durations = [max(round((b - a) / 1e6), 1) for a, b in zip(stamps, stamps[1:], strict=False)]
        with whole(self._out / ANIMATION) as partial:
            first.picture.save(
                partial,
                format="WEBP",
                save_all=True,
                append_images=[ImageOps.pad(slide.picture, size) for slide in others],
                duration=[*durations, _LAST_MS],
                loop=0,
                quality=_ANIMATION_QUALITY,
                method=2,
            )


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, no wider than the animation."""
    height, width = picture.shape[:2]
    if width <= _ANIMATION_WIDTH:
        return picture
    size = _ANIMATION_WIDTH, max(round(height * _ANIMATION_WIDTH / width), 1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

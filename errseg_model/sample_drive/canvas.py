"""Drawing surface: colour and class id are written by the same stroke, so that they agree to the pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from errseg_model.sample_drive.camera import Points

Image: TypeAlias = NDArray[np.uint8]
Paint: TypeAlias = tuple[int, int, int, int]  # red, green, blue, class id

SHIFT = 4  # bits of sub-pixel position in OpenCV's drawing functions
FARTHEST_PIXEL = 30000.0
FLAT_BELOW = 7.0  # canvas pixels: pictures drawn thinner than this become plain colour


def _fixed(points: Points) -> NDArray[np.int32]:
    limited = np.minimum(np.maximum(points, -FARTHEST_PIXEL), FARTHEST_PIXEL)
    return np.asarray(limited * (1 << SHIFT), dtype=np.int32)


def _thickness(corners: Points) -> float:
    """Area of a quadrilateral over its longest extent."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners.tolist()
    area = abs((cx - ax) * (dy - by) - (cy - ay) * (dx - bx)) / 2
    extent = max(max(ax, bx, cx, dx) - min(ax, bx, cx, dx), max(ay, by, cy, dy) - min(ay, by, cy, dy), 1.0)
    return float(area / extent)


SOLID, OPEN = 255, 128  # coverage of a cut-out: coloured; class id only, what lies behind shines through


@dataclass(eq=False)
class Texture:
    """A picture (h, w, 4) of one class, with smaller versions of itself that are made when first needed.

    The fourth channel is the class id, or, in a `cutout`, how much of the place is taken: `SOLID`, `OPEN` or 0.
    """

    picture: Image
    label: int
    cutout: bool = False
    _levels: dict[tuple[int, int], Image] = field(default_factory=dict)
    _lit: tuple[Image, Image, Image] | None = None  # level, table and result of the last call of `lit`

    @cached_property
    def mean(self) -> list[int]:
        """Average colour, and the class id: what is left of the picture far away."""
        red, green, blue = (int(v) for v in self.picture[..., :3].reshape(-1, 3).mean(0))
        return [red, green, blue, self.label]

    def lit(self, width: float, height: float, lut: Image) -> Image:
        """The same under a light; from frame to frame the light on a thing seldom changes."""
        level = self.level(width, height)
        if self._lit is None or self._lit[0] is not level or self._lit[1] is not lut:
            self._lit = (level, lut, np.asarray(cv2.LUT(level, lut), np.uint8))
        return self._lit[2]

    def level(self, width: float, height: float) -> Image:
        """The version that suits a drawn size: halved in each direction while it has twice the pixels needed."""
        h, w = self.picture.shape[:2]
        ax = ay = 1
        while w // (ax * 2) >= max(width, 4):
            ax *= 2
        while h // (ay * 2) >= max(height, 4):
            ay *= 2
        if ax == ay == 1:
            return self.picture
        if (ax, ay) not in self._levels:
            size = (max(w // ax, 2), max(h // ay, 2))
            self._levels[ax, ay] = np.asarray(cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self._levels[ax, ay]


class Canvas:
    """(height, width, 4) uint8: red, green, blue, class id; `scale` times the size of the image."""

    def __init__(self, height: int, width: int, scale: int) -> None:
        self.scale = scale
        self.height, self.width = height * scale, width * scale
        self.pixels: Image = np.zeros((self.height, self.width, 4), np.uint8)

    def convex(self, points: Points, paint: Paint) -> None:
        cv2.fillConvexPoly(self.pixels, _fixed(points), paint, shift=SHIFT)

    def polygon(self, points: Points, paint: Paint) -> None:
        cv2.fillPoly(self.pixels, [_fixed(points)], paint, shift=SHIFT)

    def line(self, start: Points, end: Points, width: float, paint: Paint) -> None:
        """A stroke with round ends, never thinner than one pixel of the image."""
        limit, unit = FARTHEST_PIXEL, 1 << SHIFT
        a, b = [
            (int(max(min(x, limit), -limit) * unit), int(max(min(y, limit), -limit) * unit))
            for x, y in (start.tolist(), end.tolist())
        ]
        cv2.line(self.pixels, a, b, paint, max(self.scale, int(width + 0.5)), shift=SHIFT)

    def path(self, points: Points, width: float, paint: Paint, *, closed: bool = False) -> None:
        thick = max(self.scale, int(width + 0.5))
        cv2.polylines(self.pixels, [_fixed(points)], closed, paint, thick, shift=SHIFT)

    def disc(self, centre: Points, radius: float, paint: Paint) -> None:
        x, y = (int(max(min(v, FARTHEST_PIXEL), -FARTHEST_PIXEL) * (1 << SHIFT)) for v in centre.tolist())
        cv2.circle(self.pixels, (x, y), max(int(radius * (1 << SHIFT)), 8), paint, -1, shift=SHIFT)

    def textured(self, corners: Points, texture: Texture, lut: Image, crop: float = 0.0) -> None:
        """Draw a flat picture in perspective.

        `corners` (4, 2): where its top left, top right, bottom right and bottom left come to lie. `lut` (1, 256, 4) is
        applied to its colours first. `crop` is the share of the picture's width, from the left, that is cut off.
        """
        if _thickness(corners) < FLAT_BELOW:
            red, green, blue, label = lut[0, texture.mean, range(4)].tolist()
            self.polygon(corners, (red, green, blue, label))
            return
        window = self._window(corners)
        if window is None:
            return
        x0, y0, size = window
        across = max(np.abs(corners[1] - corners[0]).max(), np.abs(corners[2] - corners[3]).max())
        down = max(np.abs(corners[3] - corners[0]).max(), np.abs(corners[2] - corners[1]).max())
        picture = texture.lit(float(across) / (1 - crop), float(down), lut)
        h, w = picture.shape[:2]
        source = np.array([[crop * w, 0], [w, 0], [w, h], [crop * w, h]], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform((corners - (x0, y0)).astype(np.float32), source)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped: Image = np.asarray(
            cv2.warpPerspective(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        inside = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(inside, _fixed(corners - (x0, y0)), 255, shift=SHIFT)
        region = self.pixels[y0 : y0 + size[1], x0 : x0 + size[0]]
        if texture.cutout:
            self._cut_out(region, warped, inside, texture.label)
        else:
            cv2.copyTo(warped, inside, region)

    def sprite(self, foot: Points, height: float, texture: Texture, lut: Image) -> None:
        """Draw a square cut-out upright, `height` canvas pixels tall, on the point where it stands."""
        left, top = float(foot[0]) - height / 2, float(foot[1]) - height
        window = self._window(np.array([[left, top], [left + height, top + height]]))
        if window is None:
            return
        x0, y0, size = window
        picture = texture.level(height, height)
        ratio = picture.shape[0] / height
        matrix = np.array([[ratio, 0, (x0 - left + 0.5) * ratio - 0.5], [0, ratio, (y0 - top + 0.5) * ratio - 0.5]])
        small = size[0] * size[1] < picture.shape[0] * picture.shape[1]
        if not small:
            picture = np.asarray(cv2.LUT(picture, lut), np.uint8)
        warped = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        if small:
            warped = cv2.LUT(warped, lut)
        region = self.pixels[y0 : y0 + size[1], x0 : x0 + size[0]]
        self._cut_out(region, np.asarray(warped, np.uint8), None, texture.label)

    def _window(self, points: Points) -> tuple[int, int, tuple[int, int]] | None:
        """Left, top and (width, height) of the part of the canvas that holds the points; None outside."""
        low, high = points.min(0).tolist(), points.max(0).tolist()
        x0, y0 = max(int(low[0]) - 1, 0), max(int(low[1]) - 1, 0)
        x1, y1 = min(int(high[0]) + 2, self.width), min(int(high[1]) + 2, self.height)
        return (x0, y0, (x1 - x0, y1 - y0)) if x1 > x0 and y1 > y0 else None

    @staticmethod
    def _cut_out(region: Image, warped: Image, inside: Image | None, label: int) -> None:
        cover = cv2.extractChannel(warped, 3)
        if inside is not None:
            cover = cv2.min(cover, inside)
        solid = cv2.threshold(cover, (SOLID + OPEN) // 2, 255, cv2.THRESH_BINARY)[1]
        held = cv2.threshold(cover, OPEN // 2, 255, cv2.THRESH_BINARY)[1]
        cv2.copyTo(warped, solid, region)
        ids = cv2.extractChannel(region, 3)
        ids[held > 0] = label
        cv2.insertChannel(ids, region, 3)

    def reduce(self) -> tuple[Image, Image]:
        """Image (H, W, 3), smoothed by area, and class ids (H, W), taken from the nearest canvas pixel."""
        colour = cv2.cvtColor(self.pixels, cv2.COLOR_RGBA2RGB)
        size = (self.width // self.scale, self.height // self.scale)
        image = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
        middle = self.scale // 2
        labels = np.ascontiguousarray(self.pixels[middle :: self.scale, middle :: self.scale, 3])
        return np.asarray(image, np.uint8), labels

"""Opens what the user names as a source: a video, pictures or a bag."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from errseg_model.files import read_image
from errseg_ros.bags import is_bag
from errseg_ros.demo.bags import BagSource
from errseg_ros.demo.frames import Frame, Pace, Source, SourceError
from errseg_ros.ros_time import SECOND

PICTURE_FILES = (".png", ".jpg", ".jpeg")

# FFmpeg's own words on a broken file would stand next to our error. OpenCV reads this once, at the first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
_USUAL_FPS = 25.0


def open_source(path: Path, pace: Pace, image_topic: str | None = None) -> Source:
    """The source at `path`, whatever kind it is. Raises SourceError where it cannot be read."""
    if not os.path.exists(path):
        raise SourceError(f"source {path} does not exist")
    try:
        bag = is_bag(path)
    except OSError as error:
        raise SourceError(f"source {path} cannot be read: {error.strerror}") from None
    if bag:
        return BagSource(path, pace, image_topic)
    if image_topic is not None:
        raise SourceError(f"source {path} is not a bag, and only a bag has an image topic {image_topic!r}")
    if os.path.isdir(path) or path.suffix.lower() in PICTURE_FILES:
        return PictureSource(path, pace)
    return VideoSource(path, pace)


class PictureSource:
    """Pictures of a folder by name, or one picture, at the pace's rate."""

    label_names: tuple[str, ...] = ()

    def __init__(self, path: Path, pace: Pace) -> None:
        """Raises SourceError for a folder without pictures."""
        self.name = str(path)
        entries = sorted(path.iterdir()) if os.path.isdir(path) else [path]
        paths = [entry for entry in entries if entry.suffix.lower() in PICTURE_FILES]
        if not paths:
            raise SourceError(
                f"source {path}: expected a folder with pictures ({', '.join(PICTURE_FILES)}) or a rosbag2's files"
            )
        stamps = [round(number * SECOND / pace.rate) for number in range(len(paths))]
        chosen = pace.choose(stamps)
        self.stamps = tuple(stamps[position] for position in chosen)
        self._paths = [paths[position] for position in chosen]

    def frames(self) -> Iterator[Frame]:
        """Raises ImageError naming a picture that cannot be decoded."""
        for stamp, path in zip(self.stamps, self._paths, strict=True):
            yield Frame(stamp, read_image(path))


class VideoSource:
    """A video file, through OpenCV."""

    label_names: tuple[str, ...] = ()

    def __init__(self, path: Path, pace: Pace) -> None:
        """Goes through the video once, as what its header says of its length may be wrong.

        Raises SourceError for a file that OpenCV cannot decode.
        """
        self.name = str(path)
        self._path = path
        capture = self._open()
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0.1 < fps < 1000 else _USUAL_FPS
        stamps: list[int] = []
        while len(stamps) * SECOND / fps < pace.duration_ns and capture.grab():
            stamps.append(round(len(stamps) * SECOND / fps))
        capture.release()
        if not stamps:
            raise self._unreadable()
        self._chosen = pace.choose(stamps)
        self.stamps = tuple(stamps[position] for position in self._chosen)

    def frames(self) -> Iterator[Frame]:
        """Raises SourceError where decoding fails."""
        capture = self._open()
        try:
            following = 0
            for stamp, position in zip(self.stamps, self._chosen, strict=True):
                image = None
                while following <= position and capture.grab():
                    following += 1
                if following == position + 1:
                    _, image = capture.retrieve()
                if image is None:
                    raise SourceError(f"source {self._path}: frame {position} cannot be decoded")
                yield Frame(stamp, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        # Moved in OpenCV 4.13.
        set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_log_level(0)
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise self._unreadable()
        return capture

    def _unreadable(self) -> SourceError:
        return SourceError(
            f"source {self._path} cannot be read as a video; expected a video such as .mp4, a folder of "
            f"pictures ({', '.join(PICTURE_FILES)}) or a rosbag2 (its folder, .mcap or .db3)"
        )

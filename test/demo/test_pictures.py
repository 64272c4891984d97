from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from errseg_ros.demo.frames import Source
from errseg_ros.demo.pictures import Pictures, answered
from errseg_ros.demo.recording import Recording

MakeSource = Callable[..., Source]


def test_answers_meet_their_frames(make_source: MakeSource, recording: Recording) -> None:
    pairs = list(answered(make_source(), recording))
    assert [frame.image[0, 0, 0] for frame, _ in pairs] == [0, 120, 180, 180]
    assert [given for _, given in pairs] == list(recording.answers)


def test_pictures(make_source: MakeSource, recording: Recording, tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, recording.change)
    for frame, given in answered(make_source(), recording):
        pictures.add(frame, given)
    pictures.write_animation()
    overlays = [tmp_path / f"overlay_{number:04d}.png" for number in range(4)]
    expected = {*overlays, *(tmp_path / name for name in ("before.png", "after.png", "animation.webp"))}
    assert set(tmp_path.iterdir()) == expected
    assert cv2.imread(str(overlays[0])).shape == (60, 800, 3)
    assert (tmp_path / "before.png").read_bytes() == overlays[1].read_bytes()
    assert (tmp_path / "after.png").read_bytes() == overlays[2].read_bytes()
    with Image.open(tmp_path / "animation.webp") as animation:
        assert animation.n_frames == 4
        assert animation.size == (640, 48)
        durations = []
        for number in range(animation.n_frames):
            animation.seek(number)
            animation.load()
            durations.append(animation.info["duration"])
    assert durations[:3] == [200, 100, 200], "it plays at the speed of the masks"


def test_pictures_of_several_sizes_are_one_animation(
    make_source: MakeSource, recording: Recording, tmp_path: Path
) -> None:
    """As a folder has that holds upright pictures, too: the first one's size is that of all."""
    pictures = Pictures(tmp_path, recording.change)
    for number, (frame, given) in enumerate(answered(make_source(), recording)):
        if number == 1:
            upright = np.ascontiguousarray(frame.image.transpose(1, 0, 2))
            frame = dataclasses.replace(frame, image=upright)
            given = dataclasses.replace(given, mask=np.ascontiguousarray(given.mask.T))
        pictures.add(frame, given)
    pictures.write_animation()
    with Image.open(tmp_path / "animation.webp") as animation:
        assert (animation.n_frames, animation.size) == (4, (640, 48))

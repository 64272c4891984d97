from __future__ import annotations

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_model.sample_drive import CLASSES, DriveFrame, SampleDrive
from errseg_model.sample_drive.classes import Label

SEEDS = range(8)
MOMENTS = (0, 57, 119)


@pytest.fixture(scope="module")
def drives() -> list[SampleDrive]:
    return [SampleDrive(seed, 180, 320, duration_s=12.0) for seed in SEEDS]


@pytest.fixture(scope="module")
def frames(drives: list[SampleDrive]) -> list[tuple[SampleDrive, DriveFrame]]:
    return [(drive, drive.frame(i)) for drive in drives for i in MOMENTS]


def shares(frames: list[tuple[SampleDrive, DriveFrame]]) -> dict[str, float]:
    """Percentages of all pixels by class name."""
    counts = sum(np.bincount(frame.labels.ravel(), minlength=12) for _, frame in frames)
    return dict(zip(CLASSES, 100 * counts[:11] / counts.sum(), strict=True))


def test_frames_have_the_promised_types(frames: list[tuple[SampleDrive, DriveFrame]]) -> None:
    for _, frame in frames:
        assert frame.image.shape == (180, 320, 3) and frame.image.dtype == np.uint8
        assert frame.labels.shape == (180, 320) and frame.labels.dtype == np.uint8
        assert frame.labels.max() < len(CLASSES), "every pixel has a class"


def test_the_same_seed_draws_the_same_frames_in_any_order() -> None:
    forward = SampleDrive(3, 96, 128, duration_s=0.4)
    backward = SampleDrive(3, 96, 128, duration_s=0.4)
    for there, back in zip(list(forward), [backward.frame(i) for i in (3, 2, 1, 0)][::-1], strict=True):
        np.testing.assert_array_equal(there.image, back.image)
        np.testing.assert_array_equal(there.labels, back.labels)
        assert (there.index, there.stamp_ns) == (back.index, back.stamp_ns)


def test_seeds_differ(frames: list[tuple[SampleDrive, DriveFrame]]) -> None:
    first = [frame.labels for _, frame in frames if frame.index == 0]
    for i, labels in enumerate(first):
        for other in first[:i]:
            assert (labels != other).mean() > 0.05


def test_a_longer_or_larger_drive_shows_the_same_town() -> None:
    short = SampleDrive(2, 96, 128, duration_s=0.3).frame(2)
    long = SampleDrive(2, 96, 128, duration_s=100.0).frame(2)
    large = SampleDrive(2, 192, 256, duration_s=0.3).frame(2)
    np.testing.assert_array_equal(short.image, long.image)
    assert (large.labels[::2, ::2] == short.labels).mean() > 0.9


def test_the_street_moves(drives: list[SampleDrive]) -> None:
    for drive in drives[:3]:
        before, after, later = (drive.frame(i) for i in (40, 41, 60))
        step, leap = (np.mean(before.labels != frame.labels) for frame in (after, later))
        assert 0.002 < step < leap


def test_length_and_stamps_follow_the_rate() -> None:
    drive = SampleDrive(0, 48, 64, rate_hz=30.0, duration_s=0.5)
    stamps = [frame.stamp_ns for frame in drive]
    assert len(stamps) == len(drive) == 15
    assert set(np.diff(stamps)) <= {33_333_333, 33_333_334}


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sky", 7, 22),
        ("building", 12, 33),
        ("pole", 0.4, 2.5),
        ("road", 25, 42),
        ("pavement", 3, 12),
        ("tree", 5, 22),
        ("sign", 0.2, 2),
        ("fence", 0.5, 5),
        ("car", 2, 14),
        ("pedestrian", 0.2, 3),
        ("bicyclist", 0.1, 3),
    ],
)
def test_class_shares_are_those_of_a_town(
    frames: list[tuple[SampleDrive, DriveFrame]], name: str, low: float, high: float
) -> None:
    assert low < shares(frames)[name] < high


def test_every_class_occurs_in_nearly_every_drive(frames: list[tuple[SampleDrive, DriveFrame]]) -> None:
    for seed in SEEDS:
        mine = shares([(drive, frame) for drive, frame in frames if drive.seed == seed])
        assert sum(share > 0.01 for share in mine.values()) >= len(CLASSES) - 1, f"seed {seed}: {mine}"


def test_labels_fit_the_perspective(frames: list[tuple[SampleDrive, DriveFrame]]) -> None:
    for drive, frame in frames:
        height, width = frame.labels.shape
        margin = int(0.06 * height)  # pitch
        horizon = int(0.45 * height)
        above, below = frame.labels[: horizon - margin], frame.labels[horizon + margin :]
        where = f"seed {drive.seed} frame {frame.index}"
        assert not np.isin(above, (Label.ROAD, Label.PAVEMENT)).any(), where
        assert not (below == Label.SKY).any(), where
        assert (frame.labels[-3:, width // 2 - 10 : width // 2 + 10] == Label.ROAD).mean() > 0.9, where


def test_image_and_labels_show_the_same(frames: list[tuple[SampleDrive, DriveFrame]]) -> None:
    """Colours change where ids do: edges of the label picture are edges of the image."""
    for drive, frame in frames:
        grey = frame.image.astype(np.float64).mean(2)
        change = np.abs(np.diff(grey, axis=0))
        border = np.diff(frame.labels.astype(int), axis=0) != 0
        assert change[border].mean() > 1.8 * change[~border].mean(), f"seed {drive.seed} frame {frame.index}"


@pytest.mark.parametrize("index", [-1, 3])
def test_frames_outside_the_drive_are_refused(index: int) -> None:
    with pytest.raises(IndexError, match=f"frame {index} is outside 0..2"):
        SampleDrive(0, 48, 64, duration_s=0.3).frame(index)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"height": 47}, "at least 48x64 .* got 47x640"),
        ({"width": 10}, "at least 48x64 .* got 360x10"),
        ({"rate_hz": 0.0}, "rate_hz must be a number above 0, got 0.0"),
        ({"rate_hz": float("nan")}, "rate_hz must be a number above 0, got nan"),
        ({"duration_s": 0.05}, "at least one frame at 10.0 Hz, got 0.05"),
        ({"duration_s": float("inf")}, "at least one frame at 10.0 Hz, got inf"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SampleDrive(**arguments)  # type: ignore[arg-type]

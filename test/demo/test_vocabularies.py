from __future__ import annotations

import pytest

from errseg_model.sample_drive import CLASSES
from errseg_model.vocabulary import Vocabulary
from errseg_ros.demo.vocabularies import (
    RECORDING_AFTER,
    RECORDING_BEFORE,
    SAMPLE_DRIVE_AFTER,
    SAMPLE_DRIVE_BEFORE,
    label_ids,
)

LABELS = ("sky", "road", "car")


@pytest.mark.parametrize(
    ("vocabulary", "labels", "expected"),
    [
        ("sky; road; car", LABELS, (0, 1, 2)),
        ("Car; SKY; road", LABELS, (2, 0, 1)),
        ("heavens, sky; way, road; car", LABELS, (0, 1, 2)),
        ("sky; street; automobile; van", LABELS, (0, 1, 2, 2)),
        ("sky; road; car; dragon", LABELS, (0, 1, 2, 3)),
        ("sky; road", LABELS, None),
        ("sky; road; dragon", LABELS, None),
        ("sky", (), None),
        # a label of that very name comes before other words for another
        ("street; car; road", ("street", "car", "road"), (0, 1, 2)),
    ],
)
def test_classes_are_matched_with_labels(
    vocabulary: str, labels: tuple[str, ...], expected: tuple[int, ...] | None
) -> None:
    assert label_ids(Vocabulary.from_argument(vocabulary), labels) == expected


def test_sample_drive_can_be_measured_before_and_after_the_change() -> None:
    assert label_ids(SAMPLE_DRIVE_BEFORE, CLASSES) == tuple(range(len(CLASSES)))
    after = label_ids(SAMPLE_DRIVE_AFTER, CLASSES)
    assert after is not None
    assert len(CLASSES) not in after, "every class means one of the labels"
    by_name = dict(zip(SAMPLE_DRIVE_AFTER.names, after, strict=True))
    assert CLASSES[by_name["automobile"]] == "car"
    assert CLASSES[by_name["house"]] == "building"


@pytest.mark.parametrize(
    ("before", "after"),
    [(SAMPLE_DRIVE_BEFORE, SAMPLE_DRIVE_AFTER), (RECORDING_BEFORE, RECORDING_AFTER)],
)
def test_change_keeps_some_names_and_brings_new_ones(before: Vocabulary, after: Vocabulary) -> None:
    assert set(before.names) & set(after.names)
    assert set(after.names) - set(before.names)

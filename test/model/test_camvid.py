from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from errseg_model.datasets.camvid import CLASSES, CamVid, DatasetError


def test_order_and_content(tiny_camvid: Path) -> None:
    dataset = CamVid(tiny_camvid, "test")
    samples = list(dataset)
    assert [sample.name for sample in samples] == ["a_1", "a_2", "b_1"] and len(dataset) == 3
    assert samples[0].image.shape == (36, 48, 3) and samples[0].labels.shape == (36, 48)
    assert samples[0].image[0, 0].tolist() == [200, 100, 50]  # RGB


@pytest.mark.parametrize(
    ("root", "split", "message"),
    [("", "test", "is no folder"), ("/nowhere", "val", "is no folder"), (".", "all", "one of train, val, test")],
)
def test_wrong_place(root: str, split: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        CamVid(tmp_path / root, split)


def test_picture_without_labels(tiny_camvid: Path) -> None:
    (tiny_camvid / "test" / "labels" / "a_2.png").unlink()
    with pytest.raises(DatasetError, match=r"a_2.png has no labels"):
        CamVid(tiny_camvid, "test")


def test_labels_of_another_size(tiny_camvid: Path) -> None:
    cv2.imwrite(str(tiny_camvid / "test" / "labels" / "a_1.png"), np.zeros((5, 6), np.uint8))
    with pytest.raises(DatasetError, match=r"are \(5, 6\), expected \(36, 48\)"):
        CamVid(tiny_camvid, "test")[0]


def test_the_real_one(shared: Path) -> None:
    sizes = {split: len(CamVid(shared / "camvid", split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 367, "val": 101, "test": 233}
    sample = CamVid(shared / "camvid", "test")[0]
    assert sample.image.shape == (360, 480, 3) and sample.labels.max() <= len(CLASSES)

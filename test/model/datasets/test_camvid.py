"""The published copy of CamVid, whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from errseg_model.datasets import create_dataset
from errseg_model.datasets.camvid import CLASSES, VOID


@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101), ("test", 233)])
def test_every_picture_can_be_read(shared: Path, split: str, count: int) -> None:
    pixels = np.zeros(VOID + 1, np.int64)
    dataset = create_dataset("camvid", shared / "camvid", split)
    for sample in dataset:
        assert sample.image.shape == (360, 480, 3) and sample.labels.shape == (360, 480)
        pixels += np.bincount(sample.labels.ravel(), minlength=VOID + 1)
    assert len(dataset) == count
    assert (pixels[: len(CLASSES)] > 0).all()
    assert pixels[CLASSES.index("road")] > pixels[CLASSES.index("pole")] * 10

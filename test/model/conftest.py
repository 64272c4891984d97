"""What the model's tests share."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from errseg_model.factory import create_model
from errseg_model.segmenter import Segmenter


@pytest.fixture(scope="session")
def random_lite() -> Segmenter:
    """errseg-lite with random weights and a small input, which keeps K classes: the code paths, not the quality."""
    torch.manual_seed(0)
    model = create_model("errseg-lite", random_weights=True)
    config = dataclasses.replace(model.config, input_size=(64, 96), min_share=0.0)
    return Segmenter(dataclasses.replace(model, config=config), torch.device("cpu"))


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A picture of (50, 70) pixels with structure."""
    rows, columns = np.mgrid[:50, :70]
    return np.stack([rows * 5, columns * 3, (rows * columns) % 256], axis=2).astype(np.uint8)


@pytest.fixture
def tiny_camvid(tmp_path: Path) -> Path:
    """CamVid's layout with three 36 x 48 pictures per split; the upper half is sky, the lower road."""
    for split in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
        for name in ("b_1", "a_2", "a_1"):
            picture = np.full((36, 48, 3), (50, 100, 200), np.uint8)  # BGR
            labels = np.zeros((36, 48), np.uint8)
            picture[18:], labels[18:] = (90, 90, 90), 3
            labels[:, :2] = 11
            cv2.imwrite(str(tmp_path / split / "images" / f"{name}.png"), picture)
            cv2.imwrite(str(tmp_path / split / "labels" / f"{name}.png"), labels)
    return tmp_path

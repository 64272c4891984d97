"""The pictures that `errseg-lite` is trained on: CamVid and frames of the embedded sample drive."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset
from tqdm import tqdm

from errseg_model.config import ModelConfig
from errseg_model.datasets import LabelledImage, create_dataset
from errseg_model.datasets.camvid import CLASSES, VOID
from errseg_model.sample_drive import SampleDrive
from errseg_model.training.augmentation import crop
from errseg_model.training.recipe import TrainingRecipe

SAMPLE_DRIVE_SEED = 1000
"""First seed of the drives drawn for training; the demo's seeds are small numbers."""

FRAMES_PER_DRIVE = 6


class TrainingCrops(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless random crops: (3, h, w) uint8 RGB and (h, w) int64 labels."""

    def __init__(self, recipe: TrainingRecipe, config: ModelConfig, start: int) -> None:
        """`start` is the number of the first crop: a resumed run goes on where it stopped."""
        self._recipe, self._config, self._start = recipe, config, start
        self.camvid = [
            sample for split in recipe.splits for sample in create_dataset("camvid", recipe.camvid_root, split)
        ]
        self.drive = _drive_frames(recipe.sample_drive_frames)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        number = self._start
        while True:
            # Seeding every crop by its number makes a resumed run draw what the first would have drawn.
            rng = np.random.default_rng((self._recipe.seed, number))
            source = self.drive if rng.random() < self._recipe.sample_drive_share and self.drive else self.camvid
            sample = source[rng.integers(len(source))]
            truth = np.asarray(sample.labels, np.uint8)
            image, labels = crop(sample.image, truth, self._recipe, self._config.input_size, VOID, rng)
            yield torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(labels.astype(np.int64))
            number += 1

    def class_weights(self) -> Tensor:
        """(classes + 1,) weight of a CamVid pixel by its label: 1 / sqrt(share), bounded; 0 for void."""
        counts = sum(
            (np.bincount(sample.labels.ravel(), minlength=VOID + 1)[: len(CLASSES)] for sample in self.camvid),
            start=np.zeros(len(CLASSES)),
        )
        weights = (counts.mean() / np.maximum(counts, 1)) ** 0.5
        bounded: NDArray[np.float64] = np.clip(weights, *self._recipe.class_weight)
        return torch.tensor([*bounded, 0.0], dtype=torch.float32)


def _drive_frames(count: int) -> list[LabelledImage]:
    """`count` frames of many short drives, so that weather and streets vary."""
    rng = random.Random(SAMPLE_DRIVE_SEED)
    frames = []
    for number in tqdm(range(count), desc="drawing the sample drive", disable=count == 0):
        drive = SampleDrive(seed=SAMPLE_DRIVE_SEED + number // FRAMES_PER_DRIVE)
        frame = drive.frame(rng.randrange(len(drive)))
        frames.append(LabelledImage(f"drive{number}", frame.image, frame.labels))
    return frames

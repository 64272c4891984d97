"""The crops that a training reads: labelled pictures and frames of the embedded sample drive."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from errseg_model.config import ModelConfig
from errseg_model.datasets import Dataset, LabelledImage, create_dataset, open_folders
from errseg_model.datasets.camvid import CLASSES
from errseg_model.errors import InputError
from errseg_model.letterbox import fitted_size
from errseg_model.preprocessing import image_size
from errseg_model.sample_drive import SampleDrive
from errseg_model.training.augmentation import crop
from errseg_model.training.label_counts import LabelCounts
from errseg_model.training.recipe import DatasetSource, SampleDriveSource, TrainingRecipe

SAMPLE_DRIVE_SEED = 1000
"""First seed of the drives drawn for training; the demo's seeds are small numbers."""

FRAMES_PER_DRIVE = 6


class TrainingCrops(TorchDataset[tuple[Tensor, Tensor]]):
    """Random crops by their number: (3, h, w) uint8 RGB and (h, w) int64 labels.

    A crop is seeded by its number, so that a resumed run, any number of processes and any number of workers draw
    what one process would have drawn.
    """

    def __init__(self, recipe: TrainingRecipe, config: ModelConfig) -> None:
        """Finds the pictures. Raises InputError: they are not there, or classes that the recipe does not fit."""
        self._recipe, self._config = recipe, config
        self._datasets = _open(recipe)
        self.vocabulary = self._datasets[0].vocabulary
        """All classes of the data, those held out too."""
        names = self.vocabulary.names
        self._kept = kept = [name for name in names if name not in recipe.held_out]
        self.void = len(kept)
        """Label that does not count: the number of classes that are trained."""
        self._label_of = np.array([kept.index(n) if n in kept else self.void for n in names] + [self.void], np.uint16)
        self._samples = [(dataset, index) for dataset in self._datasets for index in range(len(dataset))]
        if recipe.sample_drive is not None and names != CLASSES:
            raise InputError("recipe: sample_drive has CamVid's classes and cannot stand beside other data: set null")
        self._frames: list[LabelledImage] = []

    @property
    def names(self) -> list[str]:
        """Of the labelled pictures, in the order in which crops draw them."""
        return [dataset.samples[index].name for dataset, index in self._samples]

    @property
    def class_ids(self) -> list[tuple[int, str]]:
        """All classes of the data, each with its id in the label files."""
        return [*zip(self._datasets[0].label_files.classes.ids, self.vocabulary.names, strict=True)]

    def draw_frames(self, show: bool) -> None:
        """Draw the frames of the sample drive, which takes a while; `show` a progress bar."""
        if self._recipe.sample_drive is not None:
            self._frames = _drive_frames(self._recipe.sample_drive, show)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, number))
        drawn = recipe.sample_drive is not None and rng.random() < recipe.sample_drive.share
        if drawn:
            sample = self._frames[rng.integers(len(self._frames))]
        else:
            dataset, index = self._samples[rng.integers(len(self._samples))]
            sample = dataset[index]
        labels = self._label_of[sample.labels]
        image, ids = crop(sample.image, labels, recipe, self._whole(image_size(sample.image)), self.void, rng)
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(ids.astype(np.int64))

    def _whole(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) at scale 1 of a picture of `size`."""
        if self._recipe.shorter_side is None:
            return fitted_size(size, self._config)
        factor = self._recipe.shorter_side / min(size)
        return round(size[0] * factor), round(size[1] * factor)

    def count_labels(self, show: bool) -> LabelCounts:
        """The pixels of every class, with a progress bar where `show` says so.

        Where the recipe weighs classes all label images are read, 300 a second; else, in an order of chance, only until
        every class has been found, as there may be 100,000 of them.

        Raises InputError: no pixel is labelled, or labels that cannot be read.
        """
        counted = LabelCounts(self._kept, np.zeros(self.void + 1, np.int64), 0, len(self._samples))
        order = np.random.default_rng(self._recipe.seed).permutation(len(self._samples))
        for number in tqdm(order, desc="counting pixels", unit="image", disable=not show):
            dataset, index = self._samples[number]
            labels = self._label_of[dataset.label_files.read(dataset.samples[index].label)]
            pixels = counted.pixels + np.bincount(labels.ravel(), minlength=self.void + 1)
            counted = dataclasses.replace(counted, pixels=pixels, images=counted.images + 1)
            if self._recipe.class_weight is None and counted.complete:
                break
        if not counted.pixels[:-1].any():
            dataset, index = self._samples[0]
            raise InputError(
                f"no pixel of the {counted.of} label images is labelled with a class that is trained: in all of them, "
                f"such as {dataset.samples[index].label}, is nothing but void and what the recipe's held_out names. "
                "Compare the numbers in them with the ids of the classes"
            )
        return counted


class StepBatches:
    """The numbers of the crops of every step, of one process's share: a batch sampler."""

    def __init__(self, steps: range, batch_size: int, process: int, processes: int) -> None:
        """`batch_size` is that of all processes together and is shared evenly."""
        self._steps, self._batch_size = steps, batch_size
        self._share = batch_size // processes
        self._first = process * self._share

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            first = step * self._batch_size + self._first
            yield list(range(first, first + self._share))


def _open(recipe: TrainingRecipe) -> list[Dataset]:
    source = recipe.data
    if not isinstance(source, DatasetSource):
        return [open_folders(source.images, source.labels, source.classes)]
    if not source.splits:
        raise InputError("recipe: splits is empty: name at least one, such as train")
    return [create_dataset(source.dataset, source.root, split) for split in source.splits]


def _drive_frames(source: SampleDriveSource, show: bool) -> list[LabelledImage]:
    """Frames of many short drives, so that weather and streets vary."""
    rng = random.Random(SAMPLE_DRIVE_SEED)
    frames = []
    for number in tqdm(range(source.frames), desc="drawing the sample drive", disable=not show):
        drive = SampleDrive(seed=SAMPLE_DRIVE_SEED + number // FRAMES_PER_DRIVE)
        frame = drive.frame(rng.randrange(len(drive)))
        frames.append(LabelledImage(f"drive{number}", frame.image, frame.labels))
    return frames

"""The work that is measured: one image, from its file to the mask in memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import torch
from torch import Tensor

from errseg_model.benchmark import stages
from errseg_model.benchmark.stages import End
from errseg_model.config import ModelConfig
from errseg_model.files import read_image
from errseg_model.letterbox import fitted_size
from errseg_model.network.crm import select_classes
from errseg_model.network.errseg import Halves, segment_batch
from errseg_model.postprocessing import best_classes
from errseg_model.preprocessing import preprocess
from errseg_model.sample_drive import SampleDrive
from errseg_model.transfer import to_host

_LEAST = (48, 64)  # of the sample drive


class Subject:
    """A frame of the sample drive as a JPEG file, and words."""

    def __init__(
        self, folder: Path, config: ModelConfig, device: torch.device, words: Tensor, image_size: tuple[int, int]
    ) -> None:
        """`config` has the input size and the K, `words` (T, C) are unit vectors. The file is left in `folder`."""
        self._config = config
        self._device = device
        self._file = folder / "image.jpg"
        height, width = (max(side, least) for side, least in zip(image_size, _LEAST, strict=True))
        frame = SampleDrive(height=height, width=width).frame(0).image
        cv2.imwrite(str(self._file), cv2.cvtColor(frame[: image_size[0], : image_size[1]], cv2.COLOR_RGB2BGR))
        self._words = words.to(device)

    def segment(self, halves: Halves, end: End) -> int:
        """Segment the image; returns how many classes are kept. `end` is told where stages outside `halves` end."""
        image = read_image(self._file)
        end(stages.DECODE)
        batch = preprocess([image], self._config, self._device)
        end(stages.PREPROCESS)
        size = image.shape[0], image.shape[1]
        select = partial(select_classes, max_classes=self._config.max_classes, min_share=self._config.min_share)
        output = segment_batch(halves, batch, self._words, select, fitted=fitted_size(size, self._config))
        best = best_classes(output.logits[0], output.selected[0], size)
        to_host((best.mask, best.confidence, best.means, output.selected, output.logits))
        end(stages.BEST_CLASS)
        return output.selected.shape[1]

"""`Segmenter`: set the vocabulary once, segment many images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from errseg_model.backends.factory import check_backend, create_backend
from errseg_model.config import check_max_classes, check_min_share, model_config
from errseg_model.errors import InputError
from errseg_model.factory import Model, create_model
from errseg_model.letterbox import fitted_size
from errseg_model.network.crm import select_classes
from errseg_model.network.errseg import segment_batch
from errseg_model.postprocessing import postprocess
from errseg_model.preprocessing import image_size, preprocess
from errseg_model.result import SegmentationResult
from errseg_model.text import TextEncoder
from errseg_model.timing import StageTimer
from errseg_model.transfer import to_device
from errseg_model.vocabulary import Vocabulary


@dataclass(frozen=True)
class EncodedVocabulary:
    """A vocabulary with its text embeddings; immutable, so that a change is a swap."""

    vocabulary: Vocabulary
    embeddings: Tensor
    """(T, C) unit vectors on the segmenter's device."""


class Segmenter:
    """An ERR-Seg model ready for use.

    `segmenter(image)` answers under the vocabulary of `set_vocabulary`. Programs that change the vocabulary while
    images flow call `encode` on one thread and `segment` on another; neither changes the segmenter.
    """

    def __init__(
        self, model: Model, device: torch.device, *, backend: str = "pytorch", precision: str = "float32"
    ) -> None:
        """`from_pretrained` is the usual way in; this one takes a model from `create_model`."""
        self.config = model.config
        self.device = device
        self._network = model.to(device).network.to(memory_format=torch.channels_last)
        self._halves = create_backend(backend, self._network, self.config, device, precision)
        self._text = TextEncoder(model.text_tower, model.config.prompt, model.config.synonyms)
        self._encoded: EncodedVocabulary | None = None

    @classmethod
    def from_pretrained(
        cls,
        model: str = "errseg-lite",
        *,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        input_size: tuple[int, int] | None = None,
        resize: str | None = None,
        max_classes: int | None = None,
        min_share: float | None = None,
        backend: str = "pytorch",
        precision: str = "float32",
    ) -> Segmenter:
        """Load a model.

        Args:
            model: errseg-lite, errseg-b or errseg-l.
            checkpoint: file of weights; None takes those of the package (errseg-lite only).
            device: auto (CUDA where there is one), cpu, cuda or cuda:N.
            input_size: (height, width), multiples of 32; None takes the model's own.
            resize: stretch, or letterbox, which keeps the aspect ratio: images are fitted into `input_size`, and the
                smallest size that holds them is computed. None takes the model's own.
            max_classes: K of the channel reduction; None takes the model's own.
            min_share: 0..1; above 0 classes with a smaller share of the image are dropped although K has room (see
                `network.crm.select_classes`). None takes the model's own.
            backend: what computes the network, one of `errseg_model.backends.names.BACKENDS`. All but `pytorch` get
                ready for a size of the network's input with the first image of it, which takes from seconds to minutes.
            precision: float32, or bfloat16 or float16 where device and backend have it.

        Raises:
            InputError: any of these is wrong; the message says what is expected.
        """
        chosen = resolve_device(device)
        check_backend(backend, chosen, precision)
        # Before the model is loaded: a wrong option should not cost that time.
        config = model_config(model).changed(
            input_size=input_size, resize=resize, max_classes=max_classes, min_share=min_share
        )
        created = dataclasses.replace(create_model(model, checkpoint), config=config)
        return cls(created, chosen, backend=backend, precision=precision)

    @property
    def parameter_count(self) -> int:
        """Numbers that the network has learned; the text tower's are not among them."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary:
        """Text embeddings of a vocabulary; phrases seen before come from a cache. Thread safe."""
        return EncodedVocabulary(vocabulary, self._text.encode(vocabulary))

    @torch.inference_mode()
    def embed_image(self, image: NDArray[np.uint8]) -> Tensor:
        """Unit vectors (C, h / 16, w / 16) of an image (H, W, 3) uint8 RGB, on `device`: what words are compared with.

        (h, w) is the `computed_size`: with `letterbox` the padding has vectors too. Raises ImageError.
        """
        dense: Tensor = self._halves.encode(preprocess([image], self.config, self.device)).dense.stride16[0]
        return dense

    def set_vocabulary(self, entries: Iterable[str] | Vocabulary) -> None:
        """Choose what later images are segmented into. Raises VocabularyError; then nothing changes."""
        vocabulary = entries if isinstance(entries, Vocabulary) else Vocabulary.parse(entries)
        self._encoded = self.encode(vocabulary)

    def __call__(self, image: NDArray[np.uint8], *, confidence_threshold: float = 0.0) -> SegmentationResult:
        """Segment one image (H, W, 3) uint8 RGB. Raises ImageError, or InputError without a vocabulary."""
        if self._encoded is None:
            raise InputError("no vocabulary yet: call set_vocabulary(['road', 'car, automobile', ...]) first")
        return self.segment([image], self._encoded, confidence_threshold=confidence_threshold)[0]

    @torch.inference_mode()
    def segment(
        self,
        images: Sequence[NDArray[np.uint8]],
        encoded: EncodedVocabulary,
        *,
        max_classes: int | None = None,
        min_share: float | None = None,
        confidence_threshold: float = 0.0,
        previous: Sequence[NDArray[np.int64] | None] | None = None,
        timer: StageTimer | None = None,
    ) -> list[SegmentationResult]:
        """Segment B images, each of its own size, as one batch. Changes nothing in the segmenter.

        What an image becomes does not hang on the others: with `letterbox` only images that are resized to one size
        are computed together, and with a `min_share` each by itself, as its K is its own.

        Args:
            images: (H, W, 3) uint8 RGB each.
            encoded: the words.
            max_classes: K of the channel reduction; None takes that of `config`.
            min_share: likewise.
            confidence_threshold: 0..1; pixels below it are unlabelled.
            previous: `selected` of the frame before of each image's camera under the same words, or None. Read where
                `min_share` is above 0: a class that was there does not blink.
            timer: told when the stages `preprocess`, `inference` and `postprocess` end.

        Raises:
            ImageError: a picture is not (H, W, 3) uint8.
            InputError: max_classes below 1, a share or threshold outside 0..1, or `previous` is not of these words or
                not one for each image.
        """
        kept = check_max_classes(self.config.max_classes if max_classes is None else max_classes)
        if not 0 <= confidence_threshold <= 1:
            raise InputError(f"confidence_threshold must be in 0..1, got {confidence_threshold}")
        share = check_min_share(self.config.min_share if min_share is None else min_share)
        before = _membership(previous, len(images), len(encoded.vocabulary)) if previous is not None and share else None
        timer = timer or StageTimer(self.device)
        sizes = [fitted_size(image_size(image), self.config) for image in images]
        together = {size: [number for number, own in enumerate(sizes) if own == size] for size in dict.fromkeys(sizes)}
        groups = [[number] for number in range(len(images))] if share > 0 else list(together.values())
        batches = [preprocess([images[number] for number in numbers], self.config, self.device) for numbers in groups]
        timer.end("preprocess")
        outputs: dict[int, tuple[Tensor, Tensor]] = {}
        for batch, numbers in zip(batches, groups, strict=True):
            select = partial(
                select_classes,
                max_classes=kept,
                min_share=share,
                previous=None if before is None else to_device(before[numbers], self.device),
            )
            output = segment_batch(self._halves, batch, encoded.embeddings, select, fitted=sizes[numbers[0]])
            outputs |= zip(numbers, zip(output.logits, output.selected, strict=True), strict=True)
        timer.end("inference")
        results = [
            postprocess(*outputs[number], image_size(image), encoded.vocabulary, confidence_threshold)
            for number, image in enumerate(images)
        ]
        timer.end("postprocess")
        return results


def _membership(previous: Sequence[NDArray[np.int64] | None], images: int, classes: int) -> Tensor:
    """(B, T) bool, whether a class is among the positions `previous` of each image. Raises InputError."""
    if len(previous) != images:
        raise InputError(f"previous has {len(previous)} entries for {images} images: pass one for each, or None")
    member = torch.zeros(images, classes, dtype=torch.bool)
    for row, positions in zip(member, previous, strict=True):
        if positions is None:
            continue
        if positions.size and not 0 <= positions.min() <= positions.max() < classes:
            raise InputError(
                f"previous names a class outside of the {classes} words: pass None after a change of words"
            )
        row[torch.from_numpy(positions)] = True
    return member


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here. Raises InputError when there is none."""
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index is not None):
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"device {name!r} is not there: this machine has {count} CUDA devices; use auto or cpu")
    return device

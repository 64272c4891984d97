"""`Segmenter`: set the vocabulary once, segment many images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from errseg_model.backends.factory import check_backend, create_backend
from errseg_model.config import check_input_size
from errseg_model.errors import InputError
from errseg_model.factory import Model, create_model
from errseg_model.network.errseg import segment_batch
from errseg_model.postprocessing import postprocess
from errseg_model.preprocessing import preprocess
from errseg_model.result import SegmentationResult
from errseg_model.text import TextEncoder
from errseg_model.timing import StageTimer
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
        max_classes: int | None = None,
        backend: str = "pytorch",
        precision: str = "float32",
    ) -> Segmenter:
        """Load a model.

        Args:
            model: errseg-lite, errseg-b or errseg-l.
            checkpoint: file of weights; None takes those of the package (errseg-lite only).
            device: auto (CUDA where there is one), cpu, cuda or cuda:N.
            input_size: (height, width), multiples of 32; None takes the model's own.
            max_classes: K of the channel reduction; None takes the model's own.
            backend: what computes the network, one of `errseg_model.backends.names.BACKENDS`.
            precision: float32, or bfloat16 where the backend has it.

        Raises:
            InputError: any of these is wrong; the message says what is expected.
        """
        chosen = resolve_device(device)
        check_backend(backend, chosen, precision)
        changes: dict[str, Any] = {}
        if input_size is not None:
            changes["input_size"] = check_input_size(input_size)
        if max_classes is not None:
            changes["max_classes"] = check_max_classes(max_classes)
        created = create_model(model, checkpoint)
        created = dataclasses.replace(created, config=dataclasses.replace(created.config, **changes))
        return cls(created, chosen, backend=backend, precision=precision)

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary:
        """Text embeddings of a vocabulary; phrases seen before come from a cache. Thread safe."""
        return EncodedVocabulary(vocabulary, self._text.encode(vocabulary))

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
        confidence_threshold: float = 0.0,
        timer: StageTimer | None = None,
    ) -> list[SegmentationResult]:
        """Segment B images, each of its own size, as one batch. Changes nothing in the segmenter.

        `timer` is told when the stages `preprocess`, `inference` and `postprocess` end.

        Raises:
            ImageError: a picture is not (H, W, 3) uint8.
            InputError: max_classes below 1, or a threshold outside 0..1.
        """
        kept = check_max_classes(self.config.max_classes if max_classes is None else max_classes)
        if not 0 <= confidence_threshold <= 1:
            raise InputError(f"confidence_threshold must be in 0..1, got {confidence_threshold}")
        timer = timer or StageTimer(self.device)
        batch = preprocess(images, self.config, self.device).contiguous(memory_format=torch.channels_last)
        timer.end("preprocess")
        output = segment_batch(self._halves, batch, encoded.embeddings, kept)
        timer.end("inference")
        results = [
            postprocess(logits, selected, (image.shape[0], image.shape[1]), encoded.vocabulary, confidence_threshold)
            for logits, selected, image in zip(output.logits, output.selected, images, strict=True)
        ]
        timer.end("postprocess")
        return results


def check_max_classes(max_classes: int) -> int:
    """Return K. Raises InputError below 1."""
    if max_classes < 1:
        raise InputError(f"max_classes must be at least 1, got {max_classes}")
    return max_classes


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here. Raises InputError when there is none."""
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"device {name!r} is not there: this machine has {count} CUDA devices; use auto or cpu")
    return device

"""errseg_node whose network fails as pictures tell it to: run in place of errseg_ros.node.

The value of a picture's first pixel (red) names the fault; any other picture is segmented as ever. A vocabulary
with `TOO_MUCH` in it fails when it is encoded.
"""

from __future__ import annotations

from typing import Any

import torch

from errseg_model.segmenter import EncodedVocabulary, Segmenter
from errseg_model.vocabulary import Vocabulary
from errseg_ros.node import main

FAULTS: dict[int, type[BaseException]] = {
    201: torch.cuda.OutOfMemoryError,
    202: MemoryError,
    203: RuntimeError,
    204: RecursionError,
}
TOO_MUCH = "more than the memory holds"
HELD_BYTES = 200 * 2**20
"""That a fault holds on to by its traceback, as a network's activations are."""

_segment, _encode = Segmenter.segment, Segmenter.encode


def _faulty(self: Segmenter, images: Any, encoded: Any, **options: Any) -> Any:
    for image in images:
        fault = FAULTS.get(int(image[0, 0, 0]))
        if fault is not None:
            activations = torch.ones(HELD_BYTES, dtype=torch.uint8)
            raise fault(f"Tried to allocate {activations.numel() / 2**20:.2f} MiB.\nSee the\nmanual")
    return _segment(self, images, encoded, **options)


def _faulty_encode(self: Segmenter, vocabulary: Vocabulary) -> EncodedVocabulary:
    if TOO_MUCH in vocabulary.names:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")
    return _encode(self, vocabulary)


Segmenter.segment = _faulty  # type: ignore[method-assign]
Segmenter.encode = _faulty_encode  # type: ignore[method-assign]

if __name__ == "__main__":
    main()

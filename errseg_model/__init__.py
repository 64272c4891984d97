"""ERR-Seg: open-vocabulary semantic segmentation for driving. Imports no ROS.

segmenter = Segmenter.from_pretrained("errseg-lite")
segmenter.set_vocabulary(["road", "car, automobile", "sky"])
result = segmenter(image)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from errseg_model.errors import ImageError, InputError
from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.vocabulary import Vocabulary, VocabularyEntry, VocabularyError

if TYPE_CHECKING:
    from errseg_model.factory import create_model
    from errseg_model.segmenter import EncodedVocabulary, Segmenter

# PyTorch takes seconds to import: only those who ask for these pay.
_LAZY = {"EncodedVocabulary": "segmenter", "Segmenter": "segmenter", "create_model": "factory"}

__all__ = [
    "UNLABELLED",
    "EncodedVocabulary",
    "ImageError",
    "InputError",
    "SegmentationResult",
    "Segmenter",
    "Vocabulary",
    "VocabularyEntry",
    "VocabularyError",
    "create_model",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)

"""ERR-Seg: open-vocabulary semantic segmentation for driving. Imports no ROS.

segmenter = Segmenter.from_pretrained("errseg-lite")
segmenter.set_vocabulary(["road", "car, automobile", "sky"])
result = segmenter(image)
"""

from errseg_model.errors import InputError
from errseg_model.factory import create_model
from errseg_model.result import UNLABELLED, SegmentationResult
from errseg_model.segmenter import EncodedVocabulary, Segmenter
from errseg_model.vocabulary import Vocabulary, VocabularyEntry, VocabularyError

__all__ = [
    "UNLABELLED",
    "EncodedVocabulary",
    "InputError",
    "SegmentationResult",
    "Segmenter",
    "Vocabulary",
    "VocabularyEntry",
    "VocabularyError",
    "create_model",
]

"""The vocabularies that the demo shows, and what their words mean in a source's labels."""

from __future__ import annotations

from collections.abc import Sequence

from errseg_model.sample_drive import CLASSES
from errseg_model.vocabulary import Vocabulary, VocabularyEntry
from errseg_ros.default_vocabulary import DEFAULT_VOCABULARY

SAMPLE_DRIVE_BEFORE = Vocabulary.parse(CLASSES)
SAMPLE_DRIVE_AFTER = Vocabulary.parse(
    (
        "sky",
        "street",
        "sidewalk",
        "house, building",
        "vegetation",
        "person",
        "cyclist",
        "automobile",
        "van",
        "traffic sign",
        "traffic light",
        "lamp post",
        "railing",
    )
)
RECORDING_BEFORE = Vocabulary.parse(DEFAULT_VOCABULARY)
RECORDING_AFTER = Vocabulary.parse(
    ("road", "car, automobile", "sky", "tree", "grass", "house, building", "guard rail", "traffic sign")
)

# Other words for the classes of the sample drive, as CamVid draws the line: vans are cars, lights are signs.
_OTHER_WORDS = {
    "street": "road",
    "sidewalk": "pavement",
    "house": "building",
    "vegetation": "tree",
    "person": "pedestrian",
    "cyclist": "bicyclist",
    "automobile": "car",
    "van": "car",
    "traffic sign": "sign",
    "traffic light": "sign",
    "lamp post": "pole",
    "railing": "fence",
}


def label_ids(vocabulary: Vocabulary, labels: Sequence[str]) -> tuple[int, ...] | None:
    """For every class of the vocabulary the id of the label it means; len(labels) where it means none.

    None where masks cannot be measured: without labels, or when one of them has no class in the vocabulary.
    """
    if not labels:
        return None
    ids = {VocabularyEntry(name).key: label for label, name in enumerate(labels)}
    ids.update({word: ids[name] for word, name in _OTHER_WORDS.items() if word not in ids and name in ids})
    found = tuple(_label_id(entry, ids, len(labels)) for entry in vocabulary.entries)
    return found if set(range(len(labels))) <= set(found) else None


def _label_id(entry: VocabularyEntry, ids: dict[str, int], none: int) -> int:
    keys = (VocabularyEntry(phrase).key for phrase in (entry.name, *entry.synonyms))
    return next((ids[key] for key in keys if key in ids), none)

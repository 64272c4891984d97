"""The vocabularies that ship with the package: readable, complete, in the order of their data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from errseg_model.vocabulary import Vocabulary, VocabularyEntry

FOLDER = Path(__file__).parents[2] / "config" / "vocabularies"
CITYSCAPES = (
    "road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain sky person rider "
    "car truck bus train motorcycle bicycle"
)
CAMVID = "sky building pole road pavement tree sign fence car pedestrian bicyclist"


@pytest.mark.parametrize(
    ("file", "count", "anchors"),
    [
        ("cityscapes.yaml", 19, {0: "road", 6: "traffic light", 10: "sky", 13: "car", 18: "bicycle"}),
        ("camvid.yaml", 11, {0: "sky", 3: "road", 8: "car", 10: "bicyclist"}),
        ("bdd100k.yaml", 19, {0: "road", 6: "traffic light", 10: "sky", 13: "car", 18: "bicycle"}),
        (
            "mapillary_vistas.yaml",
            65,
            {
                0: "bird",
                13: "road",
                17: "building",
                27: "sky",
                48: "traffic light",
                55: "car",
                64: "ego vehicle",
            },
        ),
        (
            "coco_stuff.yaml",
            171,
            {
                0: "person",
                79: "toothbrush",
                80: "banner",
                137: "road",
                145: "sky-other",
                157: "tree",
                170: "wood",
            },
        ),
        (
            "ade20k.yaml",
            150,
            {
                0: "wall",
                2: "sky",
                6: "road",
                7: "bed",
                20: "car",
                80: "bus",
                136: "traffic light",
                149: "flag",
            },
        ),
    ],
)
def test_a_shipped_vocabulary(file: str, count: int, anchors: dict[int, str]) -> None:
    vocabulary = Vocabulary.read(FOLDER / file)
    assert len(vocabulary) == count
    assert {position: vocabulary.names[position] for position in anchors} == anchors
    assert not any("  " in phrase for entry in vocabulary.entries for phrase in (entry.name, *entry.synonyms))


def test_the_default_is_the_plain_names_of_cityscapes() -> None:
    vocabulary = Vocabulary.read(FOLDER / "cityscapes.yaml")
    assert " ".join(vocabulary.slugs) == CITYSCAPES
    assert vocabulary.to_strings() == list(vocabulary.names)


def test_bdd100k_has_the_order_of_cityscapes() -> None:
    assert " ".join(Vocabulary.read(FOLDER / "bdd100k.yaml").slugs) == CITYSCAPES


def test_camvid_has_the_order_of_its_labels() -> None:
    assert " ".join(Vocabulary.read(FOLDER / "camvid.yaml").slugs) == CAMVID


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.name)
def test_a_word_stands_for_one_class(file: Path) -> None:
    vocabulary = Vocabulary.read(file)
    owners: dict[str, str] = {entry.key: entry.name for entry in vocabulary.entries}
    for entry in vocabulary.entries:
        for synonym in entry.synonyms:
            key = VocabularyEntry(synonym).key
            assert owners.setdefault(key, entry.name) == entry.name, f"{synonym} of {entry.name}"
            assert key != entry.key

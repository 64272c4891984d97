from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import yaml

from errseg_model.datasets.class_lists import packaged
from errseg_model.datasets.factory import dataset_specification, list_datasets
from errseg_model.vocabulary import Vocabulary

CONFIG = Path(__file__).parents[3] / "config" / "vocabularies"
FILES = sorted(
    path.name for path in resources.files("errseg_model.datasets.class_lists").iterdir() if path.name.endswith(".yaml")
)


@pytest.mark.parametrize(
    ("name", "count", "anchors"),
    [
        ("camvid", 11, {0: "sky", 3: "road", 10: "bicyclist"}),
        ("cityscapes", 19, {7: "road", 11: "building", 23: "sky", 26: "car", 33: "bicycle"}),
        ("mapillary_vistas", 65, {0: "bird", 13: "road", 55: "car", 64: "ego vehicle"}),
        ("ade20k_150", 150, {1: "wall", 3: "sky", 21: "car", 150: "flag"}),
        ("ade20k_847", 847, {2978: "wall", 401: "car", 2254: "silver screen", 3148: "adding machine"}),
        ("pascal_context_59", 59, {1: "aeroplane", 14: "car", 37: "person", 59: "wood"}),
        ("pascal_context_459", 459, {1: "accordion", 59: "car", 284: "person", 431: "unknown", 459: "wool"}),
        ("coco_stuff", 171, {0: "person", 89: "toothbrush", 91: "banner", 181: "wood"}),
        ("voc_20", 20, {1: "aeroplane", 7: "car", 15: "person", 20: "tvmonitor"}),
    ],
)
def test_a_class_list_is_complete(name: str, count: int, anchors: dict[int, str]) -> None:
    classes = packaged(name)(Path())
    assert len(classes.vocabulary) == len(classes.ids) == len(set(classes.ids)) == count
    names = dict(zip(classes.ids, classes.vocabulary.names, strict=True))
    assert {label: names[label] for label in anchors} == anchors


@pytest.mark.parametrize("file", FILES)
def test_a_class_list_maps_ids_to_single_names(file: str) -> None:
    content = yaml.safe_load(resources.files("errseg_model.datasets.class_lists").joinpath(file).read_text())
    assert all(type(label) is int and type(name) is str for label, name in content.items())
    assert not any("," in name for name in content.values())


def test_every_class_list_belongs_to_a_data_set() -> None:
    counts = [
        len(dataset_specification(name).classes(Path()).ids) for name in list_datasets() if name != "mapillary-2.0"
    ]
    assert len(FILES) == len(counts) - 1  # Cityscapes and BDD100K share one
    assert counts == [11, 19, 19, 65, 150, 847, 59, 459, 20, 171]


@pytest.mark.parametrize(
    ("name", "vocabulary"),
    [
        ("camvid", "camvid"),
        ("cityscapes", "cityscapes"),
        ("cityscapes", "bdd100k"),
        ("mapillary_vistas", "mapillary_vistas"),
        ("ade20k_150", "ade20k"),
    ],
)
def test_class_lists_and_shipped_vocabularies_agree(name: str, vocabulary: str) -> None:
    assert packaged(name)(Path()).vocabulary.names == Vocabulary.read(CONFIG / f"{vocabulary}.yaml").names


def test_ids_of_the_full_ade20k_are_those_of_an_index_in_alphabetical_order() -> None:
    """The index sorts the names with all their words; a mistyped id stands out. Ids from 3100 on were added later."""
    classes = packaged("ade20k_847")(Path())
    renamed = {"flowerpot", "silver screen", "wharf", "traveling bag", "handbag", "grille", "terrace"}
    renamed |= {"basketball hoop", "tube", "control board"}
    rows = sorted(
        (label, name)
        for label, name in zip(classes.ids, classes.vocabulary.names, strict=True)
        if label < 3100 and name not in renamed
    )
    # A space sorts before the comma that follows a first word, and the end of a name before both.
    wrong = [
        (one, other)
        for (_, one), (_, other) in zip(rows, rows[1:], strict=False)
        if one > other and not one.startswith(other)
    ]
    assert wrong == []


def test_the_59_classes_are_classes_of_the_459() -> None:
    few, many = (packaged(f"pascal_context_{count}")(Path()).vocabulary.names for count in (59, 459))
    assert set(few) - set(many) == {"diningtable"}  # there it is a table
    assert [name for name in many if name in few or name == "table"] == [
        "table" if name == "diningtable" else name for name in few
    ]

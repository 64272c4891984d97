from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_model.vocabulary import Vocabulary
from errseg_ros.default_vocabulary import DEFAULT_VOCABULARY
from errseg_ros.evaluate_bag.labels import LabelKey
from errseg_ros.evaluate_bag.plan import prepare

MakeSettings = Callable[..., Any]
GREY = np.zeros((4, 4, 3), np.uint8)
IDS = np.zeros((4, 4), np.uint8)


def test_only_image_topic_need_not_be_named(ros: Any, make_settings: MakeSettings) -> None:
    path = ros.bag([("/front", 1, ros.image(1, GREY)), ("/info", 2, ros.label_info({0: "road"}))])
    ((plan,), settings) = prepare([path], make_settings())
    assert (plan.name, plan.image_topic, plan.images, plan.label_topic) == ("bag", "/front", 1, None)
    assert settings.periods[0].vocabulary == Vocabulary.parse(DEFAULT_VOCABULARY)


def test_label_topic_is_no_candidate_for_the_image_topic(ros: Any, make_settings: MakeSettings) -> None:
    path = ros.bag(
        [
            ("/front", 1, ros.compressed(1, GREY)),
            ("/labels", 1, ros.image(1, IDS, "mono8")),
            ("/label_info", 2, ros.label_info({4: "road", 2: "sky"})),
        ]
    )
    ((plan,), settings) = prepare([path], make_settings(label_topic="/labels"))
    assert (plan.image_topic, plan.label_topic) == ("/front", "/labels")
    assert settings.periods[0].vocabulary.names == ("sky", "road")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "several image topics: choose one of /left, /right with --image-topic"),
        ({"image_topic": "/up"}, "there is no topic /up: the image topics of bag .* are /left, /right"),
        ({"image_topic": "/info"}, "/info has messages of type vision_msgs/msg/LabelInfo, no images"),
        ({"image_topic": "/left", "label_topic": "/up"}, "there is no topic /up"),
    ],
)
def test_wrong_topic_is_refused_with_those_that_there_are(
    ros: Any, make_settings: MakeSettings, fields: dict[str, str], message: str
) -> None:
    path = ros.bag(
        [
            ("/left", 1, ros.image(1, GREY)),
            ("/right", 1, ros.image(1, GREY)),
            ("/info", 2, ros.label_info({0: "road"})),
        ]
    )
    with pytest.raises(InputError, match=message):
        prepare([path], make_settings(**fields))


def test_all_bags_of_no_use_are_named_together(ros: Any, make_settings: MakeSettings, tmp_path: Path) -> None:
    good = ros.drive([(0.0, IDS, None)], name="good")
    other = ros.bag([("/info", 2, ros.label_info({0: "road"}))], name="other")
    with pytest.raises(InputError) as caught:
        prepare([tmp_path / "absent", good, other], make_settings("road"))
    assert str(caught.value) == (
        f"2 of 3 bags cannot be evaluated: bag {tmp_path / 'absent'} does not exist; bag {other} has no images; its "
        "topics are /info"
    )
    with pytest.raises(InputError, match=f"^bag {re.escape(str(other))} has no images; its topics are /info$"):
        prepare([good, other], make_settings("road"))


def test_bag_without_images_is_refused_with_its_topics(ros: Any, make_settings: MakeSettings) -> None:
    path = ros.bag([("/info", 2, ros.label_info({0: "road"}))])
    with pytest.raises(InputError, match="has no images; its topics are /info"):
        prepare([path], make_settings())


@pytest.mark.parametrize(
    ("infos", "expected"),
    [
        ({"/camera/label_info": "road"}, "road"),
        ({"/elsewhere/info": "road"}, "road"),
        ({"/camera/label_info": "road", "/elsewhere/info": "sky"}, "road"),
    ],
)
def test_names_of_labels_come_from_the_same_namespace_first(
    ros: Any, make_settings: MakeSettings, infos: dict[str, str], expected: str
) -> None:
    messages = [(topic, 1, ros.label_info({0: name})) for topic, name in infos.items()]
    path = ros.bag([*messages, ("/f", 1, ros.image(1, GREY)), ("/camera/labels", 1, ros.image(1, IDS, "mono8"))])
    ((plan,), _) = prepare([path], make_settings(label_topic="/camera/labels"))
    assert [entry.name for entry in plan.label_key.classes] == [expected]


@pytest.mark.parametrize(
    ("infos", "message"),
    [
        ([], "no vision_msgs/msg/LabelInfo that names the ids of /camera/labels: name them with --labels FILE"),
        (["/a/info", "/b/info"], "may be named by /a/info or /b/info of bag .*--labels FILE"),
    ],
)
def test_labels_without_clear_names_are_refused(
    ros: Any, make_settings: MakeSettings, infos: list[str], message: str
) -> None:
    messages = [(topic, 1, ros.label_info({0: "road"})) for topic in infos]
    path = ros.bag([*messages, ("/f", 1, ros.image(1, GREY)), ("/camera/labels", 1, ros.image(1, IDS, "mono8"))])
    with pytest.raises(InputError, match=message):
        prepare([path], make_settings(label_topic="/camera/labels"))
    key = LabelKey.of([(0, "sky")])
    ((plan,), _) = prepare([path], make_settings(label_topic="/camera/labels", label_key=key))
    assert plan.label_key == key


def test_later_label_info_adds_names_and_a_contradiction_is_named(ros: Any, make_settings: MakeSettings) -> None:
    path = ros.bag(
        [
            ("/front", 1, ros.image(1, GREY)),
            ("/labels", 1, ros.image(1, IDS, "mono8")),
            ("/info", 2, ros.label_info({0: "road"})),
            ("/info", 3, ros.label_info({0: "street", 1: "sky"})),
        ]
    )
    ((plan,), _) = prepare([path], make_settings(label_topic="/labels"))
    assert [entry.name for entry in plan.label_key.classes] == ["road", "sky"]
    assert plan.problems == ("/info: id 0 is 'road' first and 'street' later",)


def test_default_vocabulary_is_that_of_the_labels_of_all_bags(ros: Any, make_settings: MakeSettings) -> None:
    paths = [
        ros.drive([(0.0, IDS, IDS)], names, name=name)
        for name, names in (("one", {0: "road", 1: "sky"}), ("two", {0: "Sky", 1: "tree"}))
    ]
    _, settings = prepare(paths, make_settings((5.0, "car"), label_topic="/camera/labels"))
    assert [period.since for period in settings.periods] == [0.0, 5.0]
    assert settings.periods[0].vocabulary.names == ("road", "sky", "tree")


def test_bags_of_the_same_name_get_different_ones(ros: Any, make_settings: MakeSettings, tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        paths.append(ros.drive([(0.0, IDS, None)], name=f"{folder}/drive"))
    plans, _ = prepare(paths, make_settings("road"))
    assert [plan.name for plan in plans] == ["drive", "drive (2)", "drive (3)"]


def test_a_bag_may_be_called_as_a_second_one_would_be(ros: Any, make_settings: MakeSettings, tmp_path: Path) -> None:
    paths = []
    for name in ("a/drive (2)", "b/drive", "c/drive"):
        (tmp_path / name).parent.mkdir()
        paths.append(ros.drive([(0.0, IDS, None)], name=name))
    plans, _ = prepare(paths, make_settings("road"))
    assert [plan.name for plan in plans] == ["drive (2)", "drive", "drive (3)"]

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.model_choice import ModelChoice
from errseg_ros.evaluate_bag.evaluator import BagEvaluation, evaluate_one
from errseg_ros.evaluate_bag.merge import merge, without_spare_pictures
from errseg_ros.evaluate_bag.plan import prepare
from errseg_ros.evaluate_bag.results import Evaluation

MakeSettings = Callable[..., Any]
SKY = np.zeros((6, 8), np.uint8)
ROAD = np.ones((6, 8), np.uint8)
CAR = np.full((6, 8), 2, np.uint8)
PARTLY = [np.repeat([[0] * n + [1] * (8 - n)], 6, axis=0).astype(np.uint8) for n in range(9)]


def parts_of(paths: list[Path], settings: Any, models: Any) -> tuple[list[BagEvaluation], Any]:
    plans, settings = prepare(paths, settings)
    return [evaluate_one(plan, settings, models(settings)) for plan in plans], settings


def evaluated(paths: list[Path], settings: Any, models: Any) -> Evaluation:
    parts, settings = parts_of(paths, settings, models)
    # As they come back from another machine.
    return merge(pickle.loads(pickle.dumps(parts)), settings, 5.0)


def test_bags_with_labels_of_different_classes_are_merged_by_name(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    paths = [
        ros.drive([(0.0, SKY, SKY)], {0: "sky", 1: "road"}, name="one"),
        ros.drive([(0.0, ROAD, SKY), (0.1, ROAD, ROAD)], {0: "Road", 1: "tree"}, name="two"),
    ]
    settings = make_settings("sky; road; dragon", label_topic="/camera/labels")
    evaluation = evaluated(paths, settings, make_models)
    truth = evaluation.truth
    assert truth is not None
    assert truth.classes == ("sky", "road", "tree")
    assert truth.confusion.counts.tolist() == [[48, 0, 0, 0], [0, 48, 0, 0], [0, 48, 0, 0]]
    assert truth.missing_in_vocabulary == ("tree",)
    assert truth.missing_in_labels == ("dragon",)
    assert [(frame.bag, frame.index) for frame in evaluation.frames] == [("one", 0), ("two", 0), ("two", 1)]
    assert [bag.evaluated for bag in evaluation.bags] == [1, 2]


def test_a_class_that_only_other_bags_label_is_a_false_positive_here(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    one = ros.drive([(0.0, CAR, CAR)], {0: "sky", 1: "road", 2: "car"}, name="one")
    two, same = (
        ros.drive([(0.0, CAR, ROAD)], {0: "sky", 1: "road", **more}, name=name)
        for name, more in (("two", {}), ("same", {2: "car"}))
    )
    settings = make_settings("sky; road; car", label_topic="/camera/labels")
    truth, wanted = (evaluated([one, bag], settings, make_models).truth for bag in (two, same))
    assert truth is not None and wanted is not None
    assert truth.confusion.counts.tolist() == wanted.confusion.counts.tolist()
    assert truth.confusion.iou().tolist()[1:] == [0.0, 0.5]


def test_classes_are_missing_by_the_rule_that_pixels_are_counted_by(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    paths = [
        ros.drive([(0.0, ROAD, ROAD)], {0: "road", 1: word}, name=name)
        for name, word in (("one", "person"), ("two", "pedestrian"))
    ]
    truth = evaluated(paths, make_settings("road; person, pedestrian", label_topic="/camera/labels"), make_models).truth
    assert truth is not None and truth.classes == ("road", "person", "pedestrian")
    assert truth.missing_in_vocabulary == ("pedestrian",)
    assert truth.confusion.counts.tolist() == [[0, 0, 0, 0], [0, 48, 0, 0], [0, 48, 0, 0]]


def test_synonyms_of_all_bags_count(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    paths = [
        ros.drive([(0.0, SKY, SKY)], {0: words, 1: "road"}, name=name)
        for name, words in (("one", "sky, air"), ("two", "Sky, heavens"))
    ]
    truth = evaluated(paths, make_settings("heavens; road", label_topic="/camera/labels"), make_models).truth
    assert truth is not None and truth.confusion.counts.tolist() == [[96, 0, 0], [0, 0, 0]]
    assert truth.missing_in_vocabulary == truth.missing_in_labels == ()


def test_a_class_that_is_matched_by_a_synonym_of_its_label_is_not_missing(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, SKY, SKY)], {0: "sky, heavens", 1: "road"})
    truth = evaluated([path], make_settings("heavens; road", label_topic="/camera/labels"), make_models).truth
    assert truth is not None and truth.confusion.counts.tolist() == [[48, 0, 0], [0, 0, 0]]
    assert truth.missing_in_vocabulary == truth.missing_in_labels == ()


@pytest.mark.parametrize(
    ("last", "missing", "for_a_time"),
    [(6.0, (), {"sky": (2,), "road": (1,)}), (4.0, ("road",), {})],  # in time for the second vocabulary or not
)
def test_class_that_some_vocabularies_in_force_lack_is_missing_for_a_time(
    ros: Any,
    make_settings: MakeSettings,
    make_models: Any,
    last: float,
    missing: tuple[str, ...],
    for_a_time: dict[str, tuple[int, ...]],
) -> None:
    path = ros.drive([(0.0, SKY, SKY), (last, SKY, SKY)], {0: "sky", 1: "road"})
    settings = make_settings("sky; car", (5.0, "street, road"), label_topic="/camera/labels")
    truth = evaluated([path], settings, make_models).truth
    assert truth is not None
    assert (truth.missing_in_vocabulary, truth.missing_in_labels) == (missing, ("car",))
    assert truth.missing_for_a_time == for_a_time


def test_without_labels_there_is_no_truth(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    evaluation = evaluated([ros.drive([(0.0, SKY, None)])], make_settings("sky"), make_models)
    assert evaluation.truth is None
    assert evaluation.compared_with is None


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_worst_and_best_are_different_images_in_order(
    ros: Any, make_settings: MakeSettings, make_models: Any, count: int
) -> None:
    frames = [(10.0 * n, SKY, PARTLY[n]) for n in range(count)]
    path = ros.drive(frames, {0: "sky", 1: "road"})
    evaluation = evaluated([path], make_settings(label_topic="/camera/labels"), make_models)
    worst, best = ([e.frame for e in exhibits] for exhibits in (evaluation.worst, evaluation.best))
    assert len(worst) == min(-(-count // 2), 4) and len(best) == min(count // 2, 4)
    assert [f.miou for f in worst] == sorted(f.miou for f in worst)
    assert [f.miou for f in best] == sorted((f.miou for f in best), reverse=True)
    assert not {f.index for f in worst} & {f.index for f in best}
    if best:
        assert max(f.miou for f in worst) <= min(f.miou for f in best)
        assert best[0].index == count - 1 and worst[0].index == 0
    assert all(e.truth is not None for e in (*evaluation.worst, *evaluation.best))


@pytest.mark.parametrize("seed", range(6))
def test_pictures_that_are_not_chosen_can_go_before(
    ros: Any, make_settings: MakeSettings, make_models: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(4):
        # Few different scores, so that many are equal; some images without a truth.
        labels = [PARTLY[rng.integers(0, 4)] if rng.random() < 0.8 else None for _ in range(6)]
        frames = [(10.0 * place, SKY, label) for place, label in enumerate(labels)]
        paths.append(ros.drive(frames, {0: "sky", 1: "road"}, name=f"drive{number}"))
    parts, settings = parts_of(paths, make_settings("sky; road", label_topic="/camera/labels"), make_models)
    whole = merge(parts, settings, 5.0)
    thin: list[BagEvaluation] = []
    for part in parts:
        thin = without_spare_pictures([*thin, part])
    assert sum(not c.pictures.image.size for part in thin for c in (*part.worst, *part.best)) > 0
    merged = merge(thin, settings, 5.0)
    for found, wanted in zip((*merged.worst, *merged.best), (*whole.worst, *whole.best), strict=True):
        assert found.frame == wanted.frame
        np.testing.assert_array_equal(found.image, wanted.image)


def test_exhibits_without_truth_are_ranked_by_confidence(
    ros: Any, make_settings: MakeSettings, make_models: Any, draw: Any
) -> None:
    stamps = [ros.start + n * 10**10 for n in range(3)]
    levels = (200, 50, 100)
    path = ros.bag([("/image", s, ros.image(s, draw(SKY, level))) for s, level in zip(stamps, levels, strict=True)])
    evaluation = evaluated([path], make_settings("sky"), make_models)
    assert [e.frame.index for e in evaluation.worst] == [1, 2]
    assert [e.frame.index for e in evaluation.best] == [0]


def test_comparison_is_told_in_words(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    path = ros.drive([(0.0, SKY, None)])
    evaluation = evaluated([path], make_settings("sky", compare="heaven; road"), make_models)
    assert evaluation.compared_with == "errseg-b, the vocabulary heaven; road"


def test_the_way_the_model_is_run_is_told_as_it_is_in_force(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, SKY, None)])
    settings = make_settings("sky")
    evaluation = evaluated([path], settings, make_models)
    assert evaluation.run_with == {
        "resize": "letterbox", "least share": "0", "backend": "pytorch", "precision": "float32",
    }  # fmt: skip
    settings = dataclasses.replace(settings, model=ModelChoice(resize="stretch", min_share=0.1, backend="compiled"))
    evaluation = evaluated([path], settings, make_models)
    assert evaluation.run_with == {
        "resize": "stretch", "least share": "0.1", "backend": "compiled", "precision": "float32",
    }  # fmt: skip


def test_times_add_up(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    paths = [ros.drive([(0.0, SKY, None), (0.1, SKY, None)], name=name) for name in ("one", "two")]
    evaluation = evaluated(paths, make_settings("sky"), make_models)
    assert evaluation.model_seconds == pytest.approx(0.04)
    assert 0 < evaluation.loop_seconds < 60
    assert evaluation.wall_seconds == 5.0

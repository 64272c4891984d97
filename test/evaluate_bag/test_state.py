from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_model.model_choice import ModelChoice
from errseg_model.vocabulary import Vocabulary
from errseg_ros.evaluate_bag.evaluator import evaluate_one, start
from errseg_ros.evaluate_bag.merge import merge
from errseg_ros.evaluate_bag.plan import prepare
from errseg_ros.evaluate_bag.results import Evaluation, VocabularyPeriod
from errseg_ros.evaluate_bag.settings import Comparison
from errseg_ros.evaluate_bag.state import State

MakeSettings = Callable[..., Any]
NAMES = {0: "sky", 1: "road"}


@pytest.fixture
def bag(ros: Any) -> Path:
    rng = np.random.default_rng(3)
    frames = [(n * 0.7, rng.integers(0, 2, (12, 16)), rng.integers(0, 2, (12, 16))) for n in range(30)]
    wrong = [(n * 0.7, mask, truth[:5] if n in (4, 20) else truth) for n, (_, mask, truth) in enumerate(frames)]
    return ros.drive(wrong, NAMES)  # type: ignore[no-any-return]


def same(one: Evaluation, other: Evaluation) -> None:
    """All but times are equal, pictures too."""
    for evaluation in (one, other):
        assert evaluation.loop_seconds > 0
    assert one.frames == other.frames
    assert one.bags == other.bags
    assert one.truth is not None and other.truth is not None
    np.testing.assert_array_equal(one.truth.confusion.counts, other.truth.confusion.counts)
    for mine, theirs in zip((*one.worst, *one.best), (*other.worst, *other.best), strict=True):
        assert mine.frame == theirs.frame and mine.colours == theirs.colours
        for kind in ("image", "truth", "mask"):
            np.testing.assert_array_equal(getattr(mine, kind), getattr(theirs, kind))


@pytest.mark.parametrize("stops", [[1], [13], [5, 6, 21], [29]])
def test_resumed_evaluation_gives_exactly_the_numbers_of_an_uninterrupted_one(
    bag: Path, tmp_path: Path, make_settings: MakeSettings, make_models: Any, stops: list[int]
) -> None:
    settings = make_settings("sky; road", (9.5, "road; sky"), label_topic="/camera/labels", compare="road")
    plans, settings = prepare([bag], settings)
    whole = merge([evaluate_one(plans[0], settings, make_models(settings))], settings, 1.0)

    state = State(tmp_path / "out", plans, settings)
    state.create()
    for stop in [*stops, 1000]:
        again = State(tmp_path / "out", plans, settings)
        again.check()
        progress = again.load(0)
        models = make_models(settings)
        part = evaluate_one(
            plans[0], settings, models, progress, go_on=lambda progress, stop=stop: progress.next_index < stop
        )
        again.save(0, progress, 2.5)
    assert len(models.computed) == 30 - stops[-1]
    assert models.before[0] == ([0, 1], [0])  # of the image before the stop
    same(merge([part], settings, 1.0), whole)
    finished = State(tmp_path / "out", plans, settings)
    finished.check()
    assert finished.earlier_seconds == 2.5
    # A bag that is done is not read again.
    (bag / "bag.mcap").unlink()
    done = evaluate_one(plans[0], settings, make_models(settings), finished.load(0))
    same(merge([done], settings, 1.0), whole)


def test_state_holds_no_code(bag: Path, tmp_path: Path, make_settings: MakeSettings, make_models: Any) -> None:
    plans, settings = prepare([bag], make_settings(label_topic="/camera/labels"))
    state = State(tmp_path / "out", plans, settings)
    state.create()
    state.path(0).write_bytes(pickle.dumps(print))
    with pytest.raises(InputError, match="cannot be read"):
        state.load(0)


WORDS = Vocabulary.from_argument("tree")


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("--stride", {"stride": 2}),
        ("--tolerance", {"tolerance_seconds": 1.0}),
        ("--label-topic", {"label_topic": "/camera/image"}),
        ("--confidence-threshold", {"confidence_threshold": 0.5}),
        ("--model", {"model": ModelChoice("errseg-b")}),
        ("--checkpoint", {"model": ModelChoice(checkpoint=Path("weights.pth"))}),
        ("--input-size", {"model": ModelChoice(input_size=(64, 64))}),
        ("--resize", {"model": ModelChoice(resize="stretch")}),
        ("--min-share", {"model": ModelChoice(min_share=0.1)}),
        ("--backend", {"model": ModelChoice(backend="compiled")}),
        ("--precision", {"model": ModelChoice(precision="bfloat16")}),
        ("--vocabulary and --vocabulary-at", {"periods": (VocabularyPeriod(0.0, WORDS),)}),
        ("vocabulary of --compare", {"comparison": Comparison(ModelChoice(), WORDS)}),
    ],
)
def test_other_settings_are_refused_by_name(
    bag: Path, tmp_path: Path, make_settings: MakeSettings, option: str, change: dict[str, Any]
) -> None:
    plans, settings = prepare([bag], make_settings("sky", label_topic="/camera/labels"))
    State(tmp_path / "out", plans, settings).create()
    with pytest.raises(InputError, match="is of other settings") as caught:
        State(tmp_path / "out", plans, dataclasses.replace(settings, **change)).check()
    assert option in str(caught.value)
    State(tmp_path / "out", plans, settings).check()


def test_a_checkpoint_that_was_replaced_by_another_of_its_size_is_refused(
    bag: Path, tmp_path: Path, make_settings: MakeSettings
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    settings = dataclasses.replace(make_settings("sky"), model=ModelChoice(checkpoint=file))
    plans, settings = prepare([bag], dataclasses.replace(settings, image_topic="/camera/image"))
    State(tmp_path / "out", plans, settings).create()
    State(tmp_path / "out", plans, settings).check()
    file.write_bytes(b"two")
    with pytest.raises(InputError, match=r"of other settings \(content \(SHA-256\) of --checkpoint\): content .* was "):
        State(tmp_path / "out", plans, settings).check()


def test_the_state_of_another_version_is_refused(
    bag: Path, tmp_path: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, settings = prepare([bag], make_settings("sky", image_topic="/camera/image"))
    State(tmp_path / "out", plans, settings).create()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    with pytest.raises(InputError, match='version of errseg was ".*" and is "99.0"'):
        State(tmp_path / "out", plans, settings).check()


def test_a_checkpoint_is_read_once_however_often_the_state_is_saved(
    bag: Path, tmp_path: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    read: list[Path] = []
    monkeypatch.setattr("errseg_ros.evaluate_bag.settings.sha256", lambda path: str(read.append(path)))
    settings = dataclasses.replace(make_settings("sky"), model=ModelChoice(checkpoint=file))
    plans, settings = prepare([bag], dataclasses.replace(settings, image_topic="/camera/image"))
    state = State(tmp_path / "out", plans, settings)
    state.create()
    state.save(0, state.load(0), 0.0)
    state.check()
    assert read == [file]


@pytest.fixture
def drives(ros: Any) -> list[Path]:
    """Three bags of an image each."""
    return [ros.drive([(0.0, np.zeros((4, 4)), None)], name=name) for name in ("one", "two", "three")]


def test_bags_may_be_left_out_and_added(drives: list[Path], tmp_path: Path, make_settings: MakeSettings) -> None:
    settings = make_settings("sky", image_topic="/camera/image")
    one, two, three = drives

    def state(*paths: Path) -> State:
        return State(tmp_path / "out", prepare(paths, settings)[0], settings)

    def reached(*paths: Path) -> list[int]:
        taken = state(*paths)
        taken.check()
        return [taken.load(place).next_index for place in range(len(paths))]

    first = state(one, two)
    first.create()
    for place in (0, 1):
        progress = first.load(place)
        progress.next_index = place + 1
        first.save(place, progress, 0.0)
    assert reached(two) == [2]
    assert reached(three, two, one) == [0, 2, 1]
    assert reached(one, one, two) == [1, 0, 2]  # given twice, it is two

    third = state(three, two)
    third.check()
    third.save(0, third.load(0), 0.0)
    assert reached(one) == [1]  # left out once, and back
    assert reached(three) == [0]


def test_what_is_kept_of_a_bag_counts_against_the_labels_of_a_bag_that_is_added(
    ros: Any, tmp_path: Path, make_settings: MakeSettings, make_models: Any
) -> None:
    road, car = np.ones((4, 4), np.uint8), np.full((4, 4), 2, np.uint8)
    kept = ros.drive([(0.0, car, road)], {0: "sky", 1: "road"}, name="kept")
    added = ros.drive([(0.0, car, car)], {0: "sky", 1: "road", 2: "car"}, name="added")
    settings = make_settings("sky; road; car", label_topic="/camera/labels")

    def state(*paths: Path) -> State:
        return State(tmp_path / "out", prepare(paths, settings)[0], settings)

    plans, _ = prepare([kept, added], settings)
    first = state(kept)
    progress = first.load(0)
    evaluate_one(plans[0], settings, make_models(settings), progress)
    first.save(0, progress, 0.0)

    both = state(kept, added)
    both.check()
    parts = [evaluate_one(plans[place], settings, make_models(settings), both.load(place)) for place in (0, 1)]
    truth = merge(parts, settings, 1.0).truth
    assert truth is not None and truth.confusion.counts.tolist() == [[0, 0, 0, 0], [0, 0, 16, 0], [0, 0, 16, 0]]


def test_other_bags_are_refused(drives: list[Path], tmp_path: Path, make_settings: MakeSettings) -> None:
    settings = make_settings("sky", image_topic="/camera/image")
    one, two, three = drives
    State(tmp_path / "out", prepare([one, two], settings)[0], settings).create()
    with pytest.raises(InputError) as caught:
        State(tmp_path / "out", prepare([three], settings)[0], settings).check()
    assert f"is of other bags ({one}, {two}): give one of them at least, or remove " in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"images": 7}, "it had 1 images on /camera/image, and has 7 on /camera/image"),
        ({"image_topic": "/rear"}, "it had 1 images on /camera/image, and has 1 on /rear"),
    ],
)
def test_a_bag_that_has_changed_is_refused_by_name(
    drives: list[Path], tmp_path: Path, make_settings: MakeSettings, change: dict[str, Any], told: str
) -> None:
    plans, settings = prepare(drives, make_settings("sky", image_topic="/camera/image"))
    State(tmp_path / "out", plans, settings).create()
    changed = (plans[0], dataclasses.replace(plans[1], **change), plans[2])
    with pytest.raises(InputError) as caught:
        State(tmp_path / "out", changed, settings).check()
    assert f"bag {drives[1]} has changed since" in str(caught.value) and told in str(caught.value)
    State(tmp_path / "out", (plans[0], plans[2]), settings).check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seconds": 1}', "words"])
def test_broken_settings_file_is_refused(bag: Path, tmp_path: Path, make_settings: MakeSettings, text: str) -> None:
    plans, settings = prepare([bag], make_settings("sky", image_topic="/camera/image"))
    state = State(tmp_path / "out", plans, settings)
    state.create()
    (state.folder / "settings.json").write_text(text)
    with pytest.raises(InputError, match=r"settings\.json cannot be read"):
        state.check()


def test_nothing_is_left_of_a_complete_evaluation(bag: Path, tmp_path: Path, make_settings: MakeSettings) -> None:
    plans, settings = prepare([bag], make_settings("sky", image_topic="/camera/image"))
    state = State(tmp_path / "out", plans, settings)
    assert not state.exists
    state.create()
    state.save(0, start(plans[0], settings), 0.0)
    assert state.exists and state.saved
    state.remove()
    assert not state.exists and not list((tmp_path / "out").iterdir())

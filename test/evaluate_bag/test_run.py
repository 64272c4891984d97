from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_ros.evaluate_bag import run
from errseg_ros.evaluate_bag.results import Evaluation
from errseg_ros.evaluate_bag.run import Interrupt, Job, evaluate_bags
from errseg_ros.evaluate_bag.state import State

MakeSettings = Callable[..., Any]
NAMES = {0: "sky", 1: "road"}


@pytest.fixture(autouse=True)
def _picture_models(monkeypatch: pytest.MonkeyPatch, make_models: Any) -> None:
    monkeypatch.setattr("errseg_ros.evaluate_bag.models.Models", make_models)


@pytest.fixture
def bags(ros: Any) -> list[Path]:
    rng = np.random.default_rng(1)
    return [
        ros.drive(
            [(n * 0.5, rng.integers(0, 2, (6, 8)), rng.integers(0, 2, (6, 8))) for n in range(10)], NAMES, name=name
        )
        for name in ("one", "two")
    ]


@pytest.fixture
def settings(make_settings: MakeSettings) -> Any:
    return make_settings("sky; road", label_topic="/camera/labels")


def interrupt_after(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends SIGINT to this process while the image with this number is evaluated."""
    from errseg_ros.evaluate_bag.accumulator import Accumulator

    add = Accumulator.add
    seen = []

    def count(self: Accumulator, answer: Any) -> None:
        seen.append(answer)
        if len(seen) == images:
            os.kill(os.getpid(), signal.SIGINT)
        add(self, answer)

    monkeypatch.setattr(Accumulator, "add", count)


def evaluate(bags: list[Path], settings: Any, out: Path, resume: bool = False, **options: Any) -> Evaluation:
    with Interrupt() as interrupt:
        return evaluate_bags(bags, settings, out, resume, interrupt, **options)


def interrupted(bags: list[Path], settings: Any, out: Path, resume: bool) -> Evaluation:
    """Ctrl-C comes before the first image."""
    with Interrupt() as interrupt:
        interrupt.signal = signal.SIGINT
        return evaluate_bags(bags, settings, out, resume, interrupt)


@pytest.fixture
def unfinished(bags: list[Path], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of an evaluation that three of the 20 images are done of."""
    with monkeypatch.context() as context:
        interrupt_after(3, context)
        evaluate(bags, settings, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("images", [1, 4, 10, 11, 19])
def test_interrupted_run_reports_what_is_done_and_is_gone_on_with(
    bags: list[Path], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    whole = evaluate(bags, settings, tmp_path / "whole")
    assert not whole.interrupted and len(whole.frames) == 20
    with monkeypatch.context() as context:
        interrupt_after(images, context)
        part = evaluate(bags, settings, tmp_path / "out")
    assert part.interrupted
    assert part.frames == whole.frames[:images]
    assert (tmp_path / "out" / ".evaluate_bag").is_dir()
    with pytest.raises(InputError, match="holds an unfinished evaluation: go on with it with --resume, or remove"):
        evaluate(bags, settings, tmp_path / "out")
    resumed = evaluate(bags, settings, tmp_path / "out", resume=True)
    assert not resumed.interrupted
    assert resumed.frames == whole.frames
    assert resumed.truth is not None and whole.truth is not None
    assert (resumed.truth.confusion.counts == whole.truth.confusion.counts).all()
    assert resumed.wall_seconds > part.wall_seconds
    assert not (tmp_path / "out" / ".evaluate_bag").exists()


def test_what_was_once_evaluated_side_by_side_is_measured_so_to_its_end(
    bags: list[Path], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beside(job: Job, state: State, started: float, interrupt: Interrupt) -> Evaluation:
        state.side_by_side = True
        return run._evaluate(job, state, started, interrupt)

    with monkeypatch.context() as context:
        interrupt_after(3, context)
        assert evaluate(bags, settings, tmp_path / "out", compute=beside).side_by_side
    assert evaluate(bags, settings, tmp_path / "out", resume=True).side_by_side
    assert not evaluate(bags, settings, tmp_path / "other").side_by_side


def test_interrupt_of_a_resumed_run_before_its_first_image_keeps_what_is_done(
    bags: list[Path], settings: Any, unfinished: Path
) -> None:
    again = interrupted(bags, settings, unfinished, resume=True)
    assert again.interrupted and len(again.frames) == 3
    assert len(evaluate(bags, settings, unfinished, resume=True).frames) == 20


def test_a_resumed_run_that_fails_before_it_has_read_the_state_keeps_what_is_done(
    bags: list[Path], settings: Any, unfinished: Path
) -> None:
    """As where the cluster is not there yet."""

    def compute(*_: Any) -> Any:
        raise InputError("no cluster")

    with pytest.raises(InputError, match="no cluster"):
        evaluate(bags, settings, unfinished, resume=True, compute=compute)
    assert len(evaluate(bags, settings, unfinished, resume=True).frames) == 20


def test_a_resumed_run_of_other_bags_without_an_image_keeps_those_that_were_left_out(
    bags: list[Path], settings: Any, unfinished: Path
) -> None:
    with pytest.raises(InputError, match="interrupted before the first image"):
        interrupted(bags[1:], settings, unfinished, resume=True)
    assert len(evaluate(bags, settings, unfinished, resume=True).frames) == 20


def test_words_of_a_bag_that_is_left_out_stay(
    ros: Any, tmp_path: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --vocabulary they are those of all bags' labels."""
    picture = np.zeros((6, 8), np.uint8)
    bags = [
        ros.drive([(n / 10, picture, picture) for n in range(5)], names, name=name)
        for name, names in (("a", {0: "sky", 1: "road"}), ("b", {0: "sky", 1: "road", 2: "tree"}), ("c", {0: "car"}))
    ]
    settings = make_settings(image_topic="/camera/image", label_topic="/camera/labels")
    with monkeypatch.context() as context:
        interrupt_after(3, context)
        evaluate(bags[:2], settings, tmp_path / "out")
    whole = evaluate([bags[2], bags[0]], settings, tmp_path / "out", resume=True)
    assert whole.vocabularies[0].vocabulary.names == ("sky", "road", "tree")
    assert len(whole.frames) == 10
    assert whole.truth is not None and whole.truth.missing_in_vocabulary == ("car",)


def test_interrupt_before_the_first_image_leaves_nothing(bags: list[Path], settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="interrupted before the first image"):
        interrupted(bags, settings, tmp_path / "out", resume=False)
    assert not list((tmp_path / "out").iterdir())


def test_second_interrupt_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("ignored", [True, False])
def test_a_signal_that_it_was_started_without_stays_ignored(ignored: bool) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupt.signal == (None if ignored else signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_state_is_saved_while_a_bag_is_evaluated(
    bags: list[Path], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SAVE_SECONDS", 0.0)
    folder = tmp_path / "out" / ".evaluate_bag"
    from errseg_ros.evaluate_bag.accumulator import Accumulator

    add = Accumulator.add
    seen = []

    def look(self: Accumulator, answer: Any) -> None:
        seen.append(len(list(folder.glob("bag-*.npz"))))
        add(self, answer)

    monkeypatch.setattr(Accumulator, "add", look)
    evaluate(bags[:1], settings, tmp_path / "out")
    assert seen == [0] + [1] * 9


@pytest.fixture
def broken(bags: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The second bag; it is lost once it has been looked at."""

    def prepared(*arguments: Any) -> Any:
        found = prepare(*arguments)
        if bags[1] in arguments[0]:
            bags[1].rename(bags[1].with_name("gone"))
        return found

    prepare = run.prepare
    monkeypatch.setattr(run, "prepare", prepared)
    return bags[1]


@pytest.mark.parametrize("with_sink", [False, True])
def test_a_bag_that_cannot_be_done_does_not_lock_in_the_others(
    ros: Any,
    bags: list[Path],
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_models: Any,
    broken: Path,
    with_sink: bool,
) -> None:
    output_bags = SimpleNamespace(make=lambda plan, settings: None) if with_sink else None
    with pytest.raises(InputError) as caught:
        evaluate(bags, settings, tmp_path / "out", output_bags=output_bags)
    option = "--resume without --output-bag" if with_sink else "--resume"
    assert str(caught.value) == (
        f"two: bag {broken} does not exist; what is done is kept: {option} goes on, and may leave that bag out"
    )

    computed: list[Any] = []
    segment = make_models.segment
    monkeypatch.setattr(make_models, "segment", lambda *given: (computed.append(given), segment(*given))[1])
    added = ros.drive([(0.0, np.zeros((6, 8)), np.zeros((6, 8)))], NAMES, name="added")
    again = evaluate([added, bags[0]], settings, tmp_path / "out", resume=True)
    assert [(bag.name, bag.evaluated) for bag in again.bags] == [("added", 1), ("one", 10)]
    assert len(computed) == 1  # of the bag that is done nothing again
    assert not (tmp_path / "out" / ".evaluate_bag").exists()


def test_what_was_done_of_a_bag_that_is_left_out_is_kept_after_the_report(
    bags: list[Path], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_models: Any
) -> None:
    """As of a mistyped list of bags: hours of work may be in it."""
    out = tmp_path / "out"
    with monkeypatch.context() as context:
        interrupt_after(13, context)  # the first bag is done
        evaluate(bags, settings, out)
    evaluate(bags[1:], settings, out, resume=True)
    computed: list[Any] = []
    segment = make_models.segment
    monkeypatch.setattr(make_models, "segment", lambda *given: (computed.append(given), segment(*given))[1])
    whole = evaluate(bags, settings, out, resume=True)
    assert [bag.evaluated for bag in whole.bags] == [10, 10] and not computed
    assert not (out / ".evaluate_bag").exists()


def test_where_nothing_was_kept_there_is_nothing_to_go_on_with(
    bags: list[Path], settings: Any, tmp_path: Path, broken: Path
) -> None:
    with pytest.raises(InputError) as caught:
        evaluate([broken], settings, tmp_path / "out")
    assert "--resume" not in str(caught.value) and not str(caught.value).startswith("two: ")
    assert not list((tmp_path / "out").iterdir())


def test_report_that_fails_leaves_the_work_to_be_gone_on_with(
    bags: list[Path], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_models: Any
) -> None:
    def fail(evaluation: Evaluation) -> None:
        raise InputError("the disk is full")

    with pytest.raises(InputError, match="the disk is full"):
        evaluate(bags, settings, tmp_path / "out", report=fail)
    monkeypatch.setattr(make_models, "segment", None)  # nothing is computed again
    reported: list[Evaluation] = []
    evaluate(bags, settings, tmp_path / "out", resume=True, report=reported.append)
    assert len(reported[0].frames) == 20


def test_nothing_to_resume_is_told(bags: list[Path], settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no unfinished evaluation to resume: leave --resume out"):
        evaluate(bags, settings, tmp_path / "out", resume=True)


def test_no_image_at_all_is_an_error_with_the_reasons(ros: Any, make_settings: MakeSettings, tmp_path: Path) -> None:
    wrong = ros.image(ros.start, np.zeros((6, 8, 3), np.uint8), "magic")
    path = ros.bag([("/image", 1, wrong)])
    with pytest.raises(InputError, match="no image could be evaluated, so there is nothing to report: images that"):
        evaluate([path], make_settings("sky"), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())

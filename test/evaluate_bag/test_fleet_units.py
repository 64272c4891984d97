"""The parts of evaluate_bag --ray that need no cluster."""

from __future__ import annotations

import gc
import re
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_model.model_choice import ModelChoice
from errseg_ros.evaluate_bag.accumulator import Accumulator
from errseg_ros.evaluate_bag.evaluator import evaluate_one
from errseg_ros.evaluate_bag.fleet import task
from errseg_ros.evaluate_bag.fleet.identity import Identity, identity
from errseg_ros.evaluate_bag.main import main
from errseg_ros.evaluate_bag.plan import prepare

HERE = Identity("1.0", "code", ((Path("/weights"), "digest"),))


@pytest.fixture
def drive(ros: Any) -> Path:
    """Six images of noise, labelled."""
    rng = np.random.default_rng(1)
    images = [(n * 0.5, rng.integers(0, 2, (6, 8)), rng.integers(0, 2, (6, 8))) for n in range(6)]
    return Path(ros.drive(images, {0: "sky", 1: "road"}))


@pytest.fixture
def loaded(make_models: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Any]]]:
    """The models that were loaded, one after the other; they read their answer from the picture."""
    loaded: list[weakref.ref[Any]] = []

    def load(settings: Any) -> Any:
        models = make_models(settings)
        loaded.append(weakref.ref(models))
        return models

    monkeypatch.setattr("errseg_ros.evaluate_bag.models.Models", load)
    task.forget_models()
    yield loaded
    task.forget_models()


@pytest.fixture
def assignment(drive: Path, loaded: list[Any], make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> task.Assignment:
    """The drive for this process."""
    monkeypatch.setattr(task, "machine_name", lambda: "here")
    (plan,), settings = prepare([drive], make_settings("sky; road", label_topic="/camera/labels"))
    return task.Assignment(plan, settings, identity(settings), 1)


def messages(assignment: task.Assignment, kind: Any = task.Message) -> list[Any]:
    return [message for message in task.evaluate(assignment) if isinstance(message, kind)]


def test_a_bag_is_evaluated_as_without_ray(assignment: task.Assignment, make_models: Any) -> None:
    first, *_, last = messages(assignment)
    assert first == task.Started("here", "picture", "cpu", (64, 64), 32)
    there = last.progress()
    assert there.done
    models = make_models(assignment.settings)
    here = evaluate_one(assignment.plan, assignment.settings, models)
    for found, wanted in zip(there.accumulator.pixels, here.pixels, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for name, column in here.rows.to_arrays().items():
        np.testing.assert_array_equal(there.accumulator.rows.to_arrays()[name], column)


def test_a_bag_goes_on_from_what_was_saved(
    assignment: task.Assignment, loaded: list[weakref.ref[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(task, "SAVE_BYTES_PER_SECOND", 1e12)
    *saved, whole = messages(assignment, task.Saved)
    assert [message.progress().next_index for message in saved] == [1, 2, 3, 4, 5, 6]
    (models,) = (reference() for reference in loaded)
    models.computed.clear()
    (*_, again) = messages(replace(assignment, saved=saved[3]), task.Saved)
    assert len(models.computed) == 2
    for name, column in whole.progress().accumulator.rows.to_arrays().items():
        np.testing.assert_array_equal(again.progress().accumulator.rows.to_arrays()[name], column)


def test_how_far_the_bag_is_is_told_meanwhile(assignment: task.Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "REACHED_SECONDS", 0.0)
    assert [message.next_index for message in messages(assignment, task.Reached)] == [2, 3, 4, 5, 6]


def test_saves_are_the_rarer_the_larger_they_are(assignment: task.Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(task, "SAVE_BYTES_PER_SECOND", 1)
    assert [message.progress().next_index for message in messages(assignment, task.Saved)] == [1, 6]


def test_a_process_keeps_its_models_as_long_as_the_settings_are_the_same(
    assignment: task.Assignment, loaded: list[weakref.ref[Any]]
) -> None:
    messages(assignment)
    messages(assignment)
    assert len(loaded) == 1
    messages(replace(assignment, settings=replace(assignment.settings, stride=2)))
    gc.collect()
    assert [reference() is not None for reference in loaded] == [False, True]  # two may not fit into the memory


def test_a_task_that_is_ended_stops_after_the_image_in_work(
    assignment: task.Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Accumulator.add
    seen: list[int] = []
    in_work, go_on = threading.Event(), threading.Event()

    def slow(self: Accumulator, answer: Any) -> None:
        seen.append(answer.index)
        in_work.set()
        assert go_on.wait(60)
        add(self, answer)

    join = threading.Thread.join

    def wait_for_image(thread: threading.Thread, timeout: float | None = None) -> None:
        go_on.set()  # not before: until here the end has not been asked for
        join(thread, timeout)

    monkeypatch.setattr(Accumulator, "add", slow)
    monkeypatch.setattr(threading.Thread, "join", wait_for_image)
    running = task.evaluate(assignment)
    assert isinstance(next(running), task.Started)
    assert in_work.wait(60)
    running.close()
    assert seen == [0]
    assert not [thread for thread in threading.enumerate() if thread.name == "evaluate"]


def refusal(assignment: task.Assignment) -> task.Refused:
    (message,) = messages(assignment, task.Refused)
    assert isinstance(message, task.Refused)
    return message


def test_a_bag_that_is_not_there_is_told_with_the_machine(assignment: task.Assignment, tmp_path: Path) -> None:
    absent = replace(assignment, plan=replace(assignment.plan, path=tmp_path / "absent"))
    message = refusal(absent)
    assert message.everywhere
    assert message.reason.startswith(f"machine here does not see {tmp_path / 'absent'}: bags have to lie on storage")


def test_another_program_is_refused(assignment: task.Assignment) -> None:
    message = refusal(replace(assignment, identity=replace(assignment.identity, version="9.9")))
    assert message.everywhere
    assert re.match(
        r"machine here has errseg .*, and the machine of this command 9.9: install the same", message.reason
    )


def test_a_model_that_cannot_be_loaded_is_refused(assignment: task.Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: Any) -> None:
        raise InputError("the file is cut off")

    monkeypatch.setattr("errseg_ros.evaluate_bag.models.Models", fail)
    assert refusal(assignment) == task.Refused("machine here cannot load the model: the file is cut off", True)


def test_a_checkpoint_that_a_machine_lacks_is_refused(assignment: task.Assignment, tmp_path: Path) -> None:
    model = ModelChoice(checkpoint=tmp_path / "absent.pth")
    message = refusal(replace(assignment, settings=replace(assignment.settings, model=model)))
    assert message.everywhere and "machine here lacks what the model needs: " in message.reason
    assert "absent.pth cannot be read: No such file" in message.reason


def test_a_bag_that_is_wrong_itself_is_its_own_matter(assignment: task.Assignment) -> None:
    def fail(plan: Any, settings: Any) -> Any:
        raise InputError("the disk is full")

    assert refusal(replace(assignment, make_sink=fail)) == task.Refused(
        "bag: the disk is full (on machine here)", False
    )


def test_a_fault_of_ours_is_raised(assignment: task.Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(task, "evaluate_one", fail)
    with pytest.raises(ZeroDivisionError):
        messages(assignment)


@pytest.mark.parametrize(
    ("there", "difference"),
    [
        (HERE, None),
        (replace(HERE, version="2.0"), "has errseg 2.0, and the machine of this command 1.0"),
        (replace(HERE, program="other"), "has errseg 1.0 with other code or weights than the machine of this command"),
        (replace(HERE, checkpoints=((Path("/weights"), "x"),)), "has another file as checkpoint /weights than"),
    ],
)
def test_machines_that_differ_are_told(there: Identity, difference: str | None) -> None:
    found = there.difference(HERE)
    assert found is None if difference is None else found is not None and found.startswith(difference)


def test_a_checkpoint_is_known_by_its_content(make_settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    settings = replace(make_settings("sky"), model=ModelChoice(checkpoint=file))
    before = identity(settings)
    assert before == identity(settings)
    file.write_bytes(b"two")
    assert "another file as checkpoint" in str(identity(settings).difference(before))


@pytest.fixture
def refused(drive: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command, which ends in one line. Returns it."""

    def run(*arguments: str) -> str:
        try:
            status = main([str(drive), "--image-topic", "/camera/image", *arguments, "--out", str(tmp_path / "out")])
        except SystemExit as error:
            status = int(str(error.code))
        assert status == 2
        assert not list((tmp_path / "out").glob("*"))
        (*_, line) = capfd.readouterr().err.strip().splitlines()
        assert line.startswith("evaluate_bag: error: ")
        return line

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ray-cpus", "2"), "--ray-cpus needs --ray"),
        (("--ray", "auto", "--ray-cpus", "0"), "expected a whole number from 1 on"),
        (("--ray", "head"), "--ray takes auto, local or HOST:PORT, got 'head'"),
        (("--ray", "ray://head:10001"), "takes no Ray Client .*: start the command on a machine of the cluster"),
        (("--ray", "auto", "--live"), "--ray does not go with --live"),
        (("--ray", "local", "--device", "cuda:1"), "--device cuda:1 does not go with --ray, .*: take cuda"),
    ],
)
def test_wrong_options_end_in_one_line(refused: Callable[..., str], arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, refused(*arguments))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "nowhere.invalid:6379"])
def test_an_address_where_nobody_is_ends_in_one_line(refused: Callable[..., str], address: str) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install '.[fleet]'")
    assert f"--ray {address}: no Ray cluster answers there: " in refused("--ray", address)


def test_a_port_that_is_no_clusters_is_given_up_in_time(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install '.[fleet]'")
    monkeypatch.setattr("errseg_ros.evaluate_bag.fleet.cluster.ANSWER_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert f"--ray {address}: no Ray cluster answers within 2 s" in refused("--ray", address)


def test_without_ray_the_extra_is_named(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused("--ray", "auto").endswith("pip install '.[fleet]'")

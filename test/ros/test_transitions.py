"""Transitions: none begins after the end, those that run are waited for, and what is late stays where it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from errseg_ros.transitions import Transitions

SECONDS = 10.0
SOON = 0.05


@pytest.fixture
def transitions() -> Transitions:
    return Transitions()


@pytest.fixture
def start(transitions: Transitions) -> Callable[..., threading.Thread]:
    """Start a transition on a thread of its own, which works until an event."""

    def start_one(until: threading.Event, ended: threading.Event) -> threading.Thread:
        begun = threading.Event()

        def run() -> None:
            with transitions.running():
                begun.set()
                until.wait()
                transitions.pass_checkpoint()
            ended.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert begun.wait(SECONDS)
        return thread

    return start_one


def test_none_begins_after_the_end(transitions: Transitions) -> None:
    assert transitions.can_execute(None)
    assert transitions.close(SECONDS)
    assert not transitions.can_execute(None)
    assert not transitions.beginning_execution(None)
    with transitions.running() as begun:
        assert not begun
    assert transitions.close(SECONDS)  # what did not begin does not end


def test_those_that_run_are_waited_for(transitions: Transitions, start: Callable[..., threading.Thread]) -> None:
    until, ended = threading.Event(), threading.Event()
    start(until, ended)
    threading.Timer(SOON, until.set).start()
    assert transitions.close(SECONDS)
    assert ended.wait(SECONDS)


def test_a_service_of_the_executor_is_waited_for(transitions: Transitions) -> None:
    assert transitions.beginning_execution(None)
    assert transitions.beginning_execution(None)  # at the same time, as the state is asked for during a transition
    threading.Timer(SOON, lambda: [transitions.ending_execution(None) for _ in range(2)]).start()
    assert transitions.close(SECONDS)


def test_one_that_works_longer_does_not_pass_its_checkpoint(
    transitions: Transitions, start: Callable[..., threading.Thread]
) -> None:
    until, ended = threading.Event(), threading.Event()
    thread = start(until, ended)
    assert not transitions.close(SOON)
    until.set()
    thread.join(4 * SOON)
    assert thread.is_alive() and not ended.is_set()


def test_one_that_has_passed_it_is_waited_for(transitions: Transitions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errseg_ros.transitions.AFTER_SECONDS", SECONDS)
    assert transitions.beginning_execution(None)
    transitions.pass_checkpoint()
    threading.Timer(SOON, lambda: transitions.ending_execution(None)).start()
    assert transitions.close(0.0)


def test_an_exception_ends_a_transition(transitions: Transitions) -> None:
    with pytest.raises(ValueError, match="wrong"), transitions.running():
        raise ValueError("wrong")
    assert transitions.close(0.0)

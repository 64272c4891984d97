from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from errseg_ros.worker import Worker

SECONDS = 10


class Bench:
    """A worker whose images take until the test says so."""

    def __init__(self, batch: int = 1) -> None:
        self.started: list[tuple[str, Any]] = []
        self.batches: list[int] = []
        self.notices = 0
        self.errors: list[tuple[tuple[str, ...], str]] = []
        self.fail: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._permits = 0
        self.worker = Worker(self._images, self._notice, self._error, batch)

    def _images(self, images: Sequence[tuple[str, Any]]) -> None:
        with self._changed:
            self.started.extend(images)
            self.batches.append(len(images))
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._permits > 0, SECONDS)
            self._permits -= 1
        self.fail()

    def _notice(self) -> None:
        with self._changed:
            self.notices += 1
            self._changed.notify_all()
        self.fail()

    def _error(self, cameras: Sequence[str], error: Exception) -> None:
        with self._changed:
            self.errors.append((tuple(cameras), str(error)))
            self._changed.notify_all()

    def finish(self, images: int = 1) -> None:
        with self._changed:
            self._permits += images
            self._changed.notify_all()

    def wait(self, done: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(done, SECONDS)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.worker.start()
    yield bench
    bench.finish(1000)
    assert bench.worker.stop(SECONDS)


def test_the_newest_image_of_a_camera_wins(bench: Bench) -> None:
    bench.worker.submit("a", 0)
    bench.wait(lambda: len(bench.started) == 1)
    assert [bench.worker.submit("a", number) for number in (1, 2, 3)] == [False, True, True]
    bench.finish(2)
    bench.wait(lambda: len(bench.started) == 2)
    assert bench.started == [("a", 0), ("a", 3)]


def test_the_camera_that_waits_longest_is_next_however_fast_another_one_is(bench: Bench) -> None:
    bench.worker.submit("fast", 0)
    bench.wait(lambda: len(bench.started) == 1)
    # While each image is computed, the fast camera sends ten and each slow one sends one.
    for turn in range(1, 9):
        for number in range(5):
            bench.worker.submit("fast", (turn, number))
        for camera in ("slow", "slower"):
            bench.worker.submit(camera, turn)
        for number in range(5, 10):
            bench.worker.submit("fast", (turn, number))
        bench.finish()
        bench.wait(lambda turn=turn: len(bench.started) == 1 + turn)
    served = [camera for camera, _ in bench.started[1:]]
    assert served[:6] == ["fast", "slow", "slower"] * 2
    assert bench.started[1] == ("fast", (1, 9))


def test_images_that_wait_are_computed_together_the_longest_waiting_first() -> None:
    bench = Bench(batch=3)
    bench.worker.start()
    bench.worker.submit("a", 0)
    bench.wait(lambda: len(bench.started) == 1)
    for camera in ("d", "c", "b", "a", "d"):
        bench.worker.submit(camera, 1)
    bench.finish(2)
    bench.wait(lambda: len(bench.started) == 5)
    assert [camera for camera, _ in bench.started] == ["a", "d", "c", "b", "a"]
    assert bench.batches == [1, 3, 1]
    bench.finish(1)
    assert bench.worker.stop(SECONDS)


def test_a_notice_waits_for_the_image_in_work_and_comes_before_the_next(bench: Bench) -> None:
    bench.worker.submit("a", 0)
    bench.wait(lambda: len(bench.started) == 1)
    bench.worker.submit("a", 1)
    bench.worker.notify()
    assert bench.notices == 0
    bench.finish()
    bench.wait(lambda: len(bench.started) == 2)
    assert bench.notices == 1


def test_without_an_image_a_notice_comes_at_once(bench: Bench) -> None:
    bench.worker.notify()
    bench.wait(lambda: bench.notices == 1)


def test_after_an_exception_the_next_image_is_computed(bench: Bench) -> None:
    def fail() -> None:
        raise RuntimeError("out of memory")

    bench.fail = fail
    bench.worker.submit("a", 0)
    bench.finish()
    bench.wait(lambda: len(bench.errors) == 1)
    bench.worker.notify()
    bench.wait(lambda: len(bench.errors) == 2)
    bench.fail = lambda: None
    bench.worker.submit("a", 1)
    bench.wait(lambda: len(bench.started) == 2)
    assert bench.errors == [(("a",), "out of memory"), ((), "out of memory")]


def test_a_pause_waits_for_the_image_in_work_and_takes_no_other(bench: Bench) -> None:
    bench.worker.submit("a", 0)
    bench.wait(lambda: len(bench.started) == 1)
    bench.worker.submit("b", 0)
    pausing = threading.Thread(target=bench.worker.pause)
    pausing.start()
    pausing.join(0.1)
    assert pausing.is_alive()
    bench.finish()
    pausing.join(SECONDS)
    assert not pausing.is_alive()
    bench.worker.submit("a", 1)
    bench.worker.notify()  # labels go on
    bench.wait(lambda: bench.notices == 1)
    assert bench.started == [("a", 0)]
    bench.worker.resume()
    bench.worker.submit("a", 2)
    bench.wait(lambda: len(bench.started) == 2)
    assert bench.started[1] == ("a", 2)


def test_stop_ends_a_pause_that_waits() -> None:
    bench = Bench()
    bench.worker.start()
    bench.worker.submit("a", 0)
    bench.wait(lambda: len(bench.started) == 1)
    pausing = threading.Thread(target=bench.worker.pause)
    pausing.start()
    assert not bench.worker.stop(0.05)
    pausing.join(SECONDS)
    assert not pausing.is_alive()
    bench.finish()
    assert bench.worker.stop(SECONDS)


def test_stop_does_not_wait_longer_than_told_for_an_image() -> None:
    bench = Bench()
    bench.worker.start()
    bench.worker.submit("a", 0)
    bench.worker.submit("b", 0)
    bench.wait(lambda: len(bench.started) == 1)
    assert not bench.worker.stop(0.05)
    bench.finish(2)
    assert bench.worker.stop(SECONDS)
    assert [camera for camera, _ in bench.started] == ["a"]


def test_a_worker_that_never_started_can_be_stopped() -> None:
    assert Bench().worker.stop(SECONDS)

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from errseg_ros.diagnostics import ERROR, OK, WARN, CameraMonitor, Drop, Report, Thresholds

THRESHOLDS = Thresholds(latency_warn_ms=500.0, latency_error_ms=2000.0, stale_seconds=3.0)


class Bench:
    """A monitor whose time stands still between steps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.monitor = CameraMonitor(lambda: self.now)

    def after(self, seconds: float) -> Report:
        self.now += seconds
        return self.monitor.report(THRESHOLDS)

    def image(self, latency: float = 0.1, **stages: float) -> None:
        self.monitor.receive()
        self.monitor.answer(stages, latency)

    def drop(self, reason: Drop) -> None:
        self.monitor.receive()
        self.monitor.drop(reason)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_without_an_image_it_says_so(bench: Bench) -> None:
    report = bench.after(1)
    assert (report.level, report.message) == (WARN, "no image yet")
    assert report.values["received"] == "0"
    assert not [key for key in report.values if "(ms)" in key]


def test_rates_counts_stages_and_latency(bench: Bench) -> None:
    bench.image(0.1, decode=0.001, inference=0.05)
    bench.image(0.3, decode=0.003, inference=0.15)
    bench.drop(Drop.REPLACED)
    report = bench.after(2)
    assert (report.level, report.message) == (OK, "1.0 images a second")
    assert dict(report.values) == {
        "rate in (Hz)": "1.5",
        "rate out (Hz)": "1.0",
        "received": "3",
        "answered": "2",
        "dropped: replaced by a newer one": "1",
        "dropped: undecodable": "0",
        "dropped: failed": "0",
        "latency mean (ms)": "200.0",
        "latency worst (ms)": "300.0",
        "decode mean (ms)": "2.0",
        "decode worst (ms)": "3.0",
        "inference mean (ms)": "100.0",
        "inference worst (ms)": "150.0",
    }


def test_rates_and_times_are_of_the_last_report_and_counts_of_all(bench: Bench) -> None:
    bench.image(0.4)
    bench.after(1)
    bench.image(0.1)
    values = bench.after(1).values
    assert (values["rate out (Hz)"], values["answered"], values["latency worst (ms)"]) == ("1.0", "2", "100.0")
    values = bench.after(1).values  # nothing new: the times stay
    assert (values["rate out (Hz)"], values["answered"], values["latency worst (ms)"]) == ("0.0", "2", "100.0")


def test_a_clock_that_jumps_back_gives_a_negative_latency(bench: Bench) -> None:
    bench.image(-2.0)
    report = bench.after(1)
    assert (report.level, report.values["latency worst (ms)"]) == (WARN, "-2000.0")
    assert report.message == "stamps are 2000 ms ahead of the node's clock"


def slow(latency: float) -> Callable[[Bench], None]:
    return lambda bench: bench.image(latency)


def dropped(*reasons: Drop) -> Callable[[Bench], None]:
    def act(bench: Bench) -> None:
        bench.image()
        for reason in reasons:
            bench.drop(reason)

    return act


@pytest.mark.parametrize(
    ("act", "seconds", "level", "message"),
    [
        (slow(-0.05), 1, OK, "1.0 images"),
        (slow(-0.051), 1, WARN, "stamps are 51 ms ahead of the node's clock"),
        (slow(0.5), 1, OK, "1.0 images"),
        (slow(0.501), 1, WARN, "latency 501 ms"),
        (slow(2.0), 1, WARN, "latency 2000 ms"),
        (slow(2.001), 1, ERROR, "latency 2001 ms"),
        (dropped(), 3, OK, "0.3 images"),
        (dropped(), 3.1, WARN, "no image for 3.1 s"),
        (dropped(Drop.REPLACED), 1, OK, "1.0 images"),
        (dropped(Drop.UNDECODABLE), 1, WARN, "1 undecodable or failed"),
        (dropped(Drop.FAILED, Drop.UNDECODABLE), 1, WARN, "2 undecodable or failed"),
    ],
)
def test_levels(bench: Bench, act: Callable[[Bench], None], seconds: float, level: Any, message: str) -> None:
    act(bench)
    report = bench.after(seconds)
    assert (report.level, message in report.message) == (level, True), report.message


@pytest.mark.parametrize(("reason", "level"), [(Drop.REPLACED, WARN), (Drop.FAILED, ERROR)])
@pytest.mark.parametrize("answered", [True, False])
def test_images_without_an_answer(bench: Bench, reason: Drop, level: Any, answered: bool) -> None:
    if answered:
        bench.image()
    for _ in range(4):
        bench.drop(reason)
        bench.now += 1
    report = bench.monitor.report(THRESHOLDS)
    assert (report.level, "no image answered for 4.0 s" in report.message) == (level, True), report.message
    bench.image()
    assert bench.after(1).level == OK


@pytest.mark.parametrize(
    ("before", "level", "message"), [([], OK, "images a second"), ([Drop.FAILED], WARN, "1 undecodable or failed")]
)
def test_silence_before_an_image_is_no_wait_for_its_answer(
    bench: Bench, before: list[Drop], level: Any, message: str
) -> None:
    bench.image(latency=2.5)
    for reason in before:
        bench.drop(reason)
    bench.after(1)
    silent = bench.after(3600)
    assert (silent.level, silent.message.partition(";")[0]) == (WARN, "no image for 3601.0 s")
    assert not [key for key in silent.values if "(ms)" in key]  # nor is it late for ever
    bench.monitor.receive()
    report = bench.after(0.1)
    assert (report.level, message in report.message) == (level, True), report.message
    for _ in range(3):  # images go on coming, and no answer does
        bench.now += 1.1
        bench.monitor.receive()
    assert "no image answered for 3.4 s" in bench.after(0).message


def test_a_camera_slower_than_stale_seconds_is_judged_by_what_becomes_of_its_images(bench: Bench) -> None:
    bench.image(latency=2.5)
    for _ in range(3):
        assert bench.after(4).level == ERROR  # of an answer in this very report
        assert bench.after(0.5).message == "no image for 4.5 s"
        bench.image(latency=2.5)
    bench.monitor.receive()  # in work for long
    bench.after(4)
    bench.monitor.receive()
    assert bench.after(0.1).message == "no image answered for 4.1 s; latency 2500 ms"


def test_images_that_fail_are_an_error_however_rare_they_are(bench: Bench) -> None:
    bench.image()
    levels = []
    for _ in range(3):
        bench.drop(Drop.FAILED)
        levels.append(bench.after(4).level)
    assert levels == [WARN, ERROR, ERROR]
    bench.image()
    assert bench.after(1).level == OK


def test_a_camera_that_is_gone_after_two_faults_is_no_error(bench: Bench) -> None:
    bench.image()
    for _ in range(2):
        bench.drop(Drop.UNDECODABLE)
        bench.now += 0.03
    reports = [bench.after(seconds) for seconds in (1, 5, 3600)]
    assert [report.level for report in reports] == [WARN] * 3
    assert reports[-1].message.startswith("no image for 36")


def test_a_camera_that_is_gone_after_an_hour_of_faults_is_soon_no_error(bench: Bench) -> None:
    for _ in range(3600):
        bench.drop(Drop.UNDECODABLE)
        report = bench.after(1)
    assert report.level == ERROR
    report = bench.after(4)
    assert report.level == WARN and "no image for 5.0 s" in report.message


def test_a_report_becomes_a_status(bench: Bench) -> None:
    status = bench.after(1).status("errseg: front", "cuda:0")
    assert (status.name, status.hardware_id, status.message) == ("errseg: front", "cuda:0", "no image yet")
    assert status.level == WARN
    assert ("received", "0") in [(pair.key, pair.value) for pair in status.values]


def test_threads_may_meet(bench: Bench) -> None:
    threads = [threading.Thread(target=lambda: [bench.image() for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.monitor.report(THRESHOLDS)
    assert bench.monitor.report(THRESHOLDS).values["answered"] == "8000"

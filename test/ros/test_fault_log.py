from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from errseg_ros.fault_log import KINDS, LENGTH, LINES, PERIOD, FaultLog


class Bench:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 100.0
        self.log = FaultLog(self.lines.append, lambda: self.now)


def test_a_fault_is_logged_at_once_and_then_once_a_period_with_the_number_left_out() -> None:
    bench = Bench()
    for _ in range(200):
        bench.log.report("image of a dropped: got 7 bytes")
    bench.now += PERIOD
    bench.log.report("image of a dropped: got 9 bytes")
    assert bench.lines == [
        "image of a dropped: got 7 bytes",
        "image of a dropped: got 9 bytes (199 more since the last such message)",
    ]


def test_another_fault_is_not_hidden() -> None:
    bench = Bench()
    for camera in "abab":
        bench.log.report(f"image of {camera} dropped")
    assert bench.lines == ["image of a dropped", "image of b dropped"]


def test_the_fault_of_a_camera_is_not_taken_for_that_of_one_whose_name_differs_in_a_number() -> None:
    bench = Bench()
    for camera in ("cam0", "cam1", "cam0", "cam1"):
        bench.log.report(f"image of {camera} dropped: got 7 bytes", f"image of {camera}")
    assert bench.lines == ["image of cam0 dropped: got 7 bytes", "image of cam1 dropped: got 7 bytes"]


def test_faults_that_are_always_new_do_not_fill_the_log_or_the_memory() -> None:
    bench = Bench()
    for number in range(10 * KINDS):
        bench.log.report("x" * number)
    assert len(bench.lines) == LINES
    bench.now += PERIOD
    bench.log.report("y")
    assert bench.lines[LINES:] == [f"y ({10 * KINDS - LINES} other faults)"]
    for number in range(10 * KINDS):
        bench.now += PERIOD
        bench.log.report("z" * number)
    assert len(bench.log._kinds) == KINDS


def test_a_fault_of_many_lines_becomes_one_line() -> None:
    bench = Bench()
    bench.log.report("image of a failed: CUDA error\n  in line 7\n" + "x" * 10_000)
    (line,) = bench.lines
    assert line.startswith("image of a failed: CUDA error in line 7 xxx") and len(line) == LENGTH


@given(
    st.lists(
        st.tuples(st.floats(0, 2 * PERIOD), st.integers(0, 50), st.text(max_size=5)).map(
            lambda fault: (fault[0], f"{fault[2]} kind {'x' * fault[1]}")
        ),
        max_size=200,
    )
)
def test_whatever_happens_lines_are_few_and_no_fault_is_lost(faults: list[tuple[float, str]]) -> None:
    """In any period at most LINES lines, one of a kind; every fault has a line or is counted in a later one."""
    bench = Bench()
    logged: list[tuple[float, str]] = []
    for wait, text in faults:
        bench.now += wait
        before = len(bench.lines)
        bench.log.report(text)
        logged += [(bench.now, re.sub(r"\d+", "0", " ".join(text.split())))] * (len(bench.lines) - before)
    for number, (moment, kind) in enumerate(logged):
        recent = [other for time, other in logged[:number] if moment - time < PERIOD]
        assert len(recent) < LINES and kind not in recent
    counted = sum(int(count) for line in bench.lines for count in re.findall(r"(\d+) (?:more since|other fa)", line))
    waiting = sum(kind.unlogged for kind in bench.log._kinds.values()) + bench.log._others
    assert len(bench.lines) + counted + waiting == len(faults)
    assert all("\n" not in line and len(line) <= LENGTH + 80 for line in bench.lines)

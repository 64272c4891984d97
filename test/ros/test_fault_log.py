from __future__ import annotations

from errseg_ros.fault_log import KINDS, PERIOD, FaultLog


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


def test_it_does_not_grow_with_the_number_of_kinds() -> None:
    bench = Bench()
    for number in range(10 * KINDS):
        bench.log.report("x" * number)
    assert len(bench.lines) == 10 * KINDS
    assert len(bench.log._kinds) == KINDS

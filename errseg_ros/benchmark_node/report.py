"""The figures as text and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from errseg_ros.benchmark_node.changes import Changes, Flow, Replies
from errseg_ros.benchmark_node.overhead import Overhead
from errseg_ros.benchmark_node.soak import Soak

OVERHEAD_GOAL_MS = 5.0
REPLY_GOAL_MS = 20.0
GROWTH_GOAL_PERCENT = 1.0

_SHOWN_FAULTS = 5


@dataclass(frozen=True)
class Report:
    """What was measured; None for what was not asked for."""

    machine: Mapping[str, str | int]
    overhead: Mapping[str, Overhead] | None = None
    changes: Changes | None = None
    soak: Soak | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, with the samples of the soak."""
        return {
            "machine": dict(self.machine),
            "overhead": self.overhead and {how: asdict(each) for how, each in self.overhead.items()},
            "changes": self.changes and asdict(self.changes),
            "soak": self.soak
            and {
                **asdict(self.soak),
                "unfollowed": self.soak.unfollowed,
                "growth_percent": self.soak.growth.percent,
            },
        }

    def to_text(self) -> str:
        """For people."""
        lines = ["machine", *(_row(name, str(value)) for name, value in self.machine.items())]
        if self.overhead is not None:
            lines += ["", *_overhead_lines(self.overhead)]
        if self.changes is not None:
            lines += ["", *_changes_lines(self.changes)]
        if self.soak is not None:
            lines += ["", *_soak_lines(self.soak)]
        return "\n".join(lines)


def _row(name: str, value: str, goal: str = "") -> str:
    return f"  {name:<44} {value}{f'   (goal: {goal})' if goal else ''}"


def _overhead_lines(overhead: Mapping[str, Overhead]) -> list[str]:
    lines = ["node overhead, 1280 x 720 rgb8, from the image's callback to mask and confidence, without the model"]
    for how, each in overhead.items():
        lines += [
            _row(
                f"{how}: median of {each.images}",
                f"{each.median_ms:.2f} ms, 90th percentile {each.p90_ms:.2f} ms",
                f"{OVERHEAD_GOAL_MS:.0f} ms",
            ),
            *(_row(f"    {stage}", f"{ms:.2f} ms") for stage, ms in each.stages_ms.items()),
            *(_row(f"  after it: {stage}", f"{ms:.2f} ms") for stage, ms in each.afterwards_ms.items()),
            _row("  before it: stamp to callback", f"{each.travelled_ms:.2f} ms"),
            _row("  left out: the model", f"{each.model_ms:.1f} ms"),
        ]
    return lines


def _changes_lines(changes: Changes) -> list[str]:
    return [
        "change of words: time to the reply",
        _row("to names seen before, idle", _replies(changes.idle), f"{REPLY_GOAL_MS:.0f} ms"),
        _row("to names seen before, images at 30 Hz", _replies(changes.flowing), f"{REPLY_GOAL_MS:.0f} ms"),
        _row(f"to {changes.new_names} new names, images at 30 Hz", f"{changes.new_reply_ms:.0f} ms"),
        _row(f"to {changes.new_names} names seen before", f"{changes.seen_reply_ms:.0f} ms"),
        _row("masks before that", _flow(changes.before)),
        _row("masks while new names are encoded", _flow(changes.encoding)),
        _row("masks while their topics are created", _flow(changes.entering)),
    ]


def _replies(replies: Replies) -> str:
    return (
        f"median {replies.median_ms:.1f} ms, 90th percentile {replies.p90_ms:.1f} ms, worst {replies.worst_ms:.1f} ms "
        f"of {replies.count}"
    )


def _flow(flow: Flow) -> str:
    return f"{flow.hz:.1f} a second, longest gap {flow.longest_gap_ms:.0f} ms, in {flow.seconds:.1f} s"


def _soak_lines(soak: Soak) -> list[str]:
    grown = soak.growth
    lines = [
        f"soak of {soak.seconds:.0f} s, {len(soak.masks)} cameras, 1280 x 720 rgb8, a change of words a second",
        _row("images published", f"{soak.published.hz:.1f} a second for each camera"),
        _row("masks checked", ", ".join(f"{camera} {count}" for camera, count in soak.masks.items()), "of each"),
        _row("masks without confidence or scores", str(soak.incomplete), "some on their way at the end"),
        _row("wrong labels, late changes, unstable ids", str(len(soak.faults)), "0"),
        _row("changes accepted, refused", f"{soak.changes}, {len(soak.refused)}"),
        _row("changes that no mask followed", str(soak.unfollowed), "some at the end"),
    ]
    if soak.reply_ms:
        lines.append(
            _row("  reply", f"median {statistics.median(soak.reply_ms):.1f} ms, worst {max(soak.reply_ms):.1f} ms")
        )
    if soak.delays_ms:
        delays = f"median {statistics.median(soak.delays_ms):.0f} ms, worst {max(soak.delays_ms):.0f} ms"
        lines.append(_row("  from the reply to the first mask under it", delays))
    lines += [
        _row(
            "resident memory after the first minute",
            f"{grown.first_mb:.1f} MB, at the end {grown.last_mb:.1f} MB: {grown.percent:+.2f} %",
            f"below {GROWTH_GOAL_PERCENT:.0f} %",
        ),
        _row("  without shared memory and files", f"{grown.private_first_mb:.1f} MB, {grown.private_last_mb:.1f} MB"),
        _row("  trend", f"{grown.trend_mb_per_minute:+.2f} MB a minute"),
        _row("threads, open files", f"{_span(grown.threads)}, {_span(grown.files)}"),
        *(f"  ! {fault.kind}: {fault.text}" for fault in soak.faults[:_SHOWN_FAULTS]),
        *(f"  ! refused: {reason}" for reason in soak.refused[:_SHOWN_FAULTS]),
    ]
    return lines


def _span(ends: tuple[int, int]) -> str:
    least, most = ends
    return str(least) if least == most else f"{least} to {most}"

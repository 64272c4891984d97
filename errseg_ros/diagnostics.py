"""What the node tells about itself on /diagnostics: counted here, judged here, without ROS but for the message type."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

PERIOD = 1.0
"""Seconds between two reports."""

AHEAD_MS = 50.0
"""A stamp may lie so far after the answer by the node's clock: more than clocks that are kept in step differ."""

OK: bytes = DiagnosticStatus.OK
WARN: bytes = DiagnosticStatus.WARN
ERROR: bytes = DiagnosticStatus.ERROR


class Drop(Enum):
    """Why an image got no answer."""

    REPLACED = "replaced by a newer one"
    UNDECODABLE = "undecodable"
    FAILED = "failed"


@dataclass(frozen=True)
class Thresholds:
    """From where on a status is not OK."""

    latency_warn_ms: float
    latency_error_ms: float
    stale_seconds: float
    """How long no image, or no answer, is no news."""


@dataclass(frozen=True)
class Report:
    """One status before it gets its name."""

    level: bytes
    message: str
    values: Mapping[str, str]

    def status(self, name: str, hardware_id: str) -> DiagnosticStatus:
        """As a message."""
        values = [KeyValue(key=key, value=value) for key, value in self.values.items()]
        return DiagnosticStatus(
            level=self.level, name=name, message=self.message, hardware_id=hardware_id, values=values
        )


@dataclass
class _Spread:
    """Mean and worst of some durations in seconds."""

    count: int = 0
    total: float = 0.0
    worst: float = 0.0

    def add(self, seconds: float) -> None:
        self.worst = seconds if self.count == 0 else max(self.worst, seconds)
        self.count += 1
        self.total += seconds

    @property
    def mean(self) -> float:
        return self.total / self.count

    def values(self, name: str) -> dict[str, str]:
        return {f"{name} mean (ms)": f"{self.mean * 1000:.1f}", f"{name} worst (ms)": f"{self.worst * 1000:.1f}"}


@dataclass
class _Window:
    """What has happened since the last report."""

    received: int = 0
    answered: int = 0
    latency: _Spread = field(default_factory=_Spread)
    stages: dict[str, _Spread] = field(default_factory=dict)


class CameraMonitor:
    """Counts what becomes of one camera's images. Every method may be called on any thread.

    Rates are of the time since the last report. Counts are of the monitor's life, so that a lost report loses
    nothing. Where an image takes longer than a report, durations are those of the last report that had any, as long
    as images come.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never jump."""
        self._clock = clock
        self._lock = Lock()
        self._window, self._measured = _Window(), _Window()
        self._received = self._answered = 0
        self._dropped = dict.fromkeys(Drop, 0)
        self._faults = 0  # undecodable or failed since the last answer
        self._last_report = clock()
        self._last_received: float | None = None
        self._unanswered_since: float | None = None
        self._first_fault = self._last_fault = 0.0
        self._fault_gap = 0.0  # between the last two of them

    @property
    def _waiting(self) -> int:
        """Images that wait or are in work."""
        return self._received - self._answered - sum(self._dropped.values())

    def receive(self) -> None:
        """An image has come."""
        with self._lock:
            self._received += 1
            self._window.received += 1
            self._last_received = self._clock()
            if self._unanswered_since is None:
                self._unanswered_since = self._last_received

    def drop(self, reason: Drop) -> None:
        """An image gets no answer."""
        with self._lock:
            self._dropped[reason] += 1
            if reason is not Drop.REPLACED:
                now = self._clock()
                self._first_fault = self._first_fault if self._faults else now
                self._fault_gap = now - self._last_fault if self._faults else 0.0
                self._last_fault = now
                self._faults += 1

    def answer(self, stages: Mapping[str, float], latency: float) -> None:
        """An image was answered.

        Args:
            stages: seconds that each stage took.
            latency: seconds from the image's stamp to the publication.
        """
        with self._lock:
            self._answered += 1
            self._window.answered += 1
            self._unanswered_since = self._clock() if self._waiting > 0 else None
            self._faults = 0
            self._window.latency.add(latency)
            for name, seconds in stages.items():
                self._window.stages.setdefault(name, _Spread()).add(seconds)

    def report(self, thresholds: Thresholds) -> Report:
        """Since the last report."""
        with self._lock:
            now = self._clock()
            window, self._window = self._window, _Window()
            if window.answered:
                self._measured = window
            elapsed, self._last_report = max(now - self._last_report, 1e-3), now
            if self._last_received is not None and now - self._last_received > thresholds.stale_seconds:
                # In silence nothing waits for an answer, unless it is in work, and nothing is late.
                if self._waiting <= 0:
                    self._unanswered_since = None
                if not window.answered:
                    self._measured = _Window()
            values = {
                "rate in (Hz)": f"{window.received / elapsed:.1f}",
                "rate out (Hz)": f"{window.answered / elapsed:.1f}",
                "received": str(self._received),
                "answered": str(self._answered),
                **{f"dropped: {reason.value}": str(count) for reason, count in self._dropped.items()},
            }
            if self._measured.answered:
                values |= self._measured.latency.values("latency")
            for name, spread in self._measured.stages.items():
                values |= spread.values(name)
            findings = self._findings(now, thresholds)
            level = max((level for level, _ in findings), default=OK)
            message = "; ".join(text for _, text in findings) or f"{window.answered / elapsed:.1f} images a second"
            return Report(level, message, values)

    def _findings(self, now: float, thresholds: Thresholds) -> list[tuple[bytes, str]]:
        if self._last_received is None:
            return [(WARN, "no image yet")]
        findings = []
        silent = now - self._last_received
        unanswered = 0.0 if self._unanswered_since is None else now - self._unanswered_since
        if silent > thresholds.stale_seconds:
            findings.append((WARN, f"no image for {silent:.1f} s"))
        elif unanswered > thresholds.stale_seconds:
            findings.append((ERROR if self._faults else WARN, f"no image answered for {unanswered:.1f} s"))
        failing = self._last_fault - self._first_fault if self._faults else 0.0
        if failing > thresholds.stale_seconds and silent <= max(thresholds.stale_seconds, 2 * self._fault_gap):
            findings.append((ERROR, f"images fail for {failing:.1f} s"))
        if self._faults:
            findings.append((WARN, f"{self._faults} undecodable or failed since the last answer"))
        if self._measured.answered:
            latency = self._measured.latency.mean * 1000
            text = f"latency {latency:.0f} ms"
            if latency > thresholds.latency_error_ms:
                findings.append((ERROR, text))
            elif latency > thresholds.latency_warn_ms:
                findings.append((WARN, text))
            elif latency < -AHEAD_MS:  # which hides how late answers are
                findings.append((WARN, f"stamps are {-latency:.0f} ms ahead of the node's clock"))
        return findings

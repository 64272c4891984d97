"""Sends messages at their recorded times, and the time of the bag meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from errseg_ros.replay_bag.lateness import Lateness
from errseg_ros.replay_bag.read_ahead import Message, ReadAhead
from errseg_ros.ros_time import SECOND


@dataclass(frozen=True)
class Pace:
    """How a bag is played."""

    rate: float = 1.0
    """Seconds of the bag in a second."""
    delay: float = 0.0
    """Seconds before the first message, of every pass."""
    clock_hz: float = 0.0
    """How often the bag's time is told, in a second of the steady clock; 0 for not at all."""


@dataclass(frozen=True)
class _Schedule:
    """Every message has its moment on the steady clock, computed from the start: delays do not add up."""

    bag_ns: int
    steady_ns: int
    rate: float

    def due(self, bag_ns: int) -> int:
        return self.steady_ns + round((bag_ns - self.bag_ns) / self.rate)

    def bag_time(self, steady_ns: int) -> int:
        return self.bag_ns + round((steady_ns - self.steady_ns) * self.rate)


class Player:
    """Sends the messages of one pass after the other. A message that is late is sent at once."""

    def __init__(
        self,
        send: Mapping[str, Callable[[bytes], None]],
        tell_time: Callable[[int], None],
        pace: Pace,
        report: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare.

        Args:
            send: sends a serialised message, by its topic in the bag.
            tell_time: takes the bag's time in nanoseconds.
            pace: how fast.
            report: called after each message.
            clock: gives nanoseconds that never jump.
            sleep: waits for so many seconds.
        """
        self._send = send
        self._tell_time = tell_time
        self._pace = pace
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._schedule = _Schedule(0, 0, pace.rate)
        self._next_tick: int | None = None
        self.lateness = Lateness()
        """From a message's moment to its sending, of all passes."""

    def play(self, messages: ReadAhead, start_ns: int) -> None:
        """One pass over the messages; the bag starts at `start_ns`. Raises what reading raises."""
        self._sleep(self._pace.delay)
        messages.fill()
        message = messages.next()
        # From here on time runs: what the first reading takes makes nothing late.
        self._schedule = _Schedule(start_ns, self._clock(), self._pace.rate)
        self._next_tick = self._schedule.steady_ns if self._pace.clock_hz else None
        while message is not None:
            due = self._schedule.due(message.time_ns)
            self._sleep_until(due)
            self.lateness.add(self._clock() - due)
            self._send[message.topic](message.data)
            self._report()
            message = self._read(messages)

    def _read(self, messages: ReadAhead) -> Message | None:
        while True:
            self._tick()
            left = None if self._next_tick is None else (self._next_tick - self._clock()) / SECOND
            try:
                return messages.next(left if left is None else max(left, 0.0))
            except TimeoutError:
                continue

    def _sleep_until(self, due: int) -> None:
        while (now := self._clock()) < due:
            self._tick()
            wake = due if self._next_tick is None else min(due, self._next_tick)
            self._sleep(max(wake - now, 0) / SECOND)
        self._tick()

    def _tick(self) -> None:
        """Tell the time if it is time to; what was missed is not made up for."""
        now = self._clock()
        if self._next_tick is None or now < self._next_tick:
            return
        self._tell_time(self._schedule.bag_time(now))
        period = round(SECOND / self._pace.clock_hz)
        self._next_tick += ((now - self._next_tick) // period + 1) * period

"""One log line for a fault, however often it repeats, and few for many faults."""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

PERIOD = 5.0
"""Seconds between two lines about the same fault."""

LINES = 20
"""Lines in one period: faults that are new with every image do not fill the log either."""

LENGTH = 600
"""Characters of a line."""

KINDS = 64
"""Faults that are told apart; the one not seen for longest is forgotten first."""


@dataclass
class _Kind:
    logged: float
    unlogged: int = 0


class FaultLog:
    """Passes on the first of each kind of fault, and then one in `PERIOD` seconds with the number left out.

    rclpy's own throttle goes by the place in the code: one camera's fault would hide another's.
    """

    def __init__(self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()
        self._times: deque[float] = deque(maxlen=LINES)  # of the last lines
        self._others = 0  # faults that found no line left since the last one

    def report(self, text: str, about: str = "") -> None:
        """Log `text` as one line, unless the same one (numbers aside) or too many were logged just now.

        `about` is whose fault it is: names that differ in a number, such as cam0 and cam1, are not the same.
        """
        text = " ".join(text.split())
        text = text if len(text) <= LENGTH else f"{text[: LENGTH - 3]}..."
        key = (about, re.sub(r"\d+", "0", text))
        now = self._clock()
        kind = self._kinds.pop(key, None)
        if kind is not None and now - kind.logged < PERIOD:
            kind.unlogged += 1
        elif len(self._times) == LINES and now - self._times[0] < PERIOD:
            self._others += 1
        else:
            self._log(text + self._left_out(kind))
            self._times.append(now)
            kind = _Kind(now)
        if kind is not None:
            self._kinds[key] = kind
        if len(self._kinds) > KINDS:
            self._others += self._kinds.popitem(last=False)[1].unlogged

    def _left_out(self, kind: _Kind | None) -> str:
        """What the next line says of faults that got none."""
        counts = {"more since the last such message": kind.unlogged if kind else 0, "other faults": self._others}
        self._others = 0
        told = [f"{count} {what}" for what, count in counts.items() if count]
        return f" ({', '.join(told)})" if told else ""

"""One log line for a fault, however often it repeats."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PERIOD = 5.0
"""Seconds between two lines about the same fault."""

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
        self._kinds: OrderedDict[str, _Kind] = OrderedDict()

    def report(self, text: str) -> None:
        """Log `text`, unless the same one (numbers aside) was logged just now."""
        key = re.sub(r"\d+", "0", text)
        now = self._clock()
        kind = self._kinds.pop(key, None)
        if kind is not None and now - kind.logged < PERIOD:
            kind.unlogged += 1
        else:
            more = f" ({kind.unlogged} more since the last such message)" if kind and kind.unlogged else ""
            self._log(text + more)
            kind = _Kind(now)
        self._kinds[key] = kind
        if len(self._kinds) > KINDS:
            self._kinds.popitem(last=False)

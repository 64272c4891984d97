"""How late messages were sent, in memory that does not grow with their number."""

from __future__ import annotations

import math

_FINEST_NS = 1_000
_GROWTH = 1.05  # of one bin over the one before: percentiles are at most 5 % too high
_BINS = 550  # up to 120 hours; what is later is as late as the worst


class Lateness:
    """Counts delays by size."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS
        self.count = 0
        self.worst_ns = 0

    def add(self, nanoseconds: int) -> None:
        """A message was sent this much after its time; less than nothing counts as nothing."""
        late = max(nanoseconds, 0)
        place = math.ceil(math.log(max(late, 1) / _FINEST_NS, _GROWTH))
        self._counts[min(max(place, 0), _BINS - 1)] += 1
        self.count += 1
        self.worst_ns = max(self.worst_ns, late)

    def percentile_ms(self, percent: float) -> float:
        """The delay that `percent` of the messages do not exceed; 0 without messages."""
        left = self.count * percent / 100
        for place, count in enumerate(self._counts):
            left -= count
            if left <= 0 and count:
                if place == _BINS - 1:
                    break
                return min(_FINEST_NS * _GROWTH**place, self.worst_ns) / 1e6
        return self.worst_ns / 1e6

"""Words for people that several messages share."""

from __future__ import annotations

from collections.abc import Sequence


def listed(values: Sequence[object], most: int) -> str:
    """The first of them, at most so many, and how many more there are: `a, b and 3 more`."""
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"

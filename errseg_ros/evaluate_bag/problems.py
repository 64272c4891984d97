"""Faults that repeat, as one line each."""

from __future__ import annotations

from collections.abc import Mapping


class Problems:
    """Counts faults by kind, and keeps the first of each."""

    def __init__(self, found: Mapping[str, tuple[int, str]] | None = None) -> None:
        self.found = dict(found or {})
        """Number and first reason by kind."""

    def note(self, kind: str, reason: str) -> None:
        """One more of a kind, such as "images that cannot be decoded"."""
        count, first = self.found.get(kind, (0, reason))
        self.found[kind] = (count + 1, first)

    def lines(self) -> tuple[str, ...]:
        """One line for each kind."""
        return tuple(f"{kind}: {count}; the first: {reason}" for kind, (count, reason) in self.found.items())

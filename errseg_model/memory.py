"""The C library's memory, set for a process that works on one image after the other."""

from __future__ import annotations

import ctypes
import os

# mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGEST_KEPT = 1 << 26
"""Bytes of one piece of memory: more than a layer of the network. What is larger comes and goes by itself, as its
room in the heap would soon be in pieces and not hold its like again."""
_MOST_OF_OLD_GLIBC = 1 << 25
"""Before 2.35 no more is taken."""
_MOST_KEPT = 1 << 30
"""Bytes that may lie free at the end of the heap."""


def reuse_memory() -> None:
    """Have memory that was freed serve the next image, instead of going back to the system. Call it first of all.

    By default every large piece is given back, and the system clears each of its pages anew for the next image.
    One heap for all threads, as what one thread frees is what another needs. Does nothing where the user has set up
    malloc, or where it is not glibc's.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        if not mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT):
            mallopt(_M_MMAP_THRESHOLD, _MOST_OF_OLD_GLIBC)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


def give_back_memory() -> None:
    """Return what lies free in the heap to the system, as far as the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

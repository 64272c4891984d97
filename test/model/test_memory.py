from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from errseg_model.memory import reuse_memory

PROGRAM = """
import resource
import numpy as np
from errseg_model.memory import reuse_memory

def use_memory():
    for _ in range(50):
        pieces = [np.ones(40 << 20, np.uint8) for _ in range(2)]

reuse_memory()
use_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use_memory()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 50 * 2 * (40 << 20) // os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif("glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="needs glibc")
def test_freed_memory_serves_again() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=clean, capture_output=True, text=True, check=True)
    assert int(run.stdout) < PAGES / 1000


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_up_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    libraries: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", libraries.append)
    monkeypatch.setenv(name, "")
    reuse_memory()
    assert libraries == []

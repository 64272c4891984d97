from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from errseg_model.benchmark.peak import PeakMemory

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's proc file system")
def test_the_peak_forgets_what_came_before_and_holds_what_was_freed() -> None:
    np.ones(300 * MIB, np.uint8)
    peak = PeakMemory(torch.device("cpu"))
    start = peak.read_mb()
    assert start is not None and peak.loading_mb is not None
    assert peak.loading_mb > start + 250
    np.ones(100 * MIB, np.uint8)
    end = peak.read_mb()
    assert end is not None
    assert 90 < end - start < 120

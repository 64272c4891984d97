"""How PyTorch's threads wait for work on the CPU."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Have OpenMP's threads sleep while there is no work. Call it before PyTorch is imported.

    By default they spin for milliseconds, and hold the cores up for whoever computes next: OpenVINO, decoders, other
    programs, which can slow an image down a hundredfold. Does nothing where the user has set the policy.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

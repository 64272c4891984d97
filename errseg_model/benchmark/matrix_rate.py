"""What the machine can do at most."""

from __future__ import annotations

import time

import torch

_SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the square matrices: so large that a product runs at the machine's limit."""


class MatrixRate:
    """The rate of large float32 matrix products."""

    def __init__(self, device: torch.device) -> None:
        side = _SIDE[device.type]
        self._device = device
        self._factors = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
        self._product = torch.empty(side, side, device=device)
        self.measure()  # the first one sets up threads and kernels

    def measure(self) -> float:
        """GFLOP/s of one product."""
        self._wait()
        start = time.perf_counter()
        torch.mm(*self._factors, out=self._product)
        self._wait()
        return 2 * len(self._product) ** 3 / (time.perf_counter() - start) / 1e9

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

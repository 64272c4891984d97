"""The figures as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEMORY_HOLDS = {
    "cpu": "resident memory of the process: Python, PyTorch, the network but not the text tower, one image, its mask",
    "cuda": "what PyTorch allocated on the device: the network but not the text tower, one image, its mask",
}


@dataclass(frozen=True)
class Report:
    """What was measured."""

    settings: Mapping[str, Any]
    """The options, with the defaults filled in."""
    machine: Mapping[str, str | int]
    stages_ms: Mapping[str, Sequence[float]]
    """Of every stage, the milliseconds of each run."""
    stages_gflop: Mapping[str, float]
    """Of the stages in which products are counted."""
    matrix_rates: Sequence[float]
    """GFLOP/s of a large product after each run."""
    peak_memory_mb: float | None
    """MiB, or None where the system does not tell."""
    loading_memory_mb: float | None
    """The peak before the first image."""

    @property
    def runs_ms(self) -> list[float]:
        """Of each run, all stages together."""
        return [sum(stages) for stages in zip(*self.stages_ms.values(), strict=True)]

    @property
    def rate(self) -> float:
        """GFLOP/s that the machine reached during the runs."""
        return statistics.median(self.matrix_rates)

    def shares(self) -> dict[str, float]:
        """Of every stage with products, the share of the machine's rate that it reaches, 0..1."""
        return {
            name: gflop / (statistics.median(self.stages_ms[name]) / 1000) / self.rate
            for name, gflop in self.stages_gflop.items()
            if gflop and name in self.stages_ms
        }

    def to_json(self) -> dict[str, Any]:
        """The keys of the public interface, and more."""
        total = self.runs_ms
        return {
            "total_ms": round(statistics.median(total), 3),
            "stages_ms": {name: round(statistics.median(each), 3) for name, each in self.stages_ms.items()},
            "gflop": round(sum(self.stages_gflop.values()), 3),
            "matmul_gflops": round(self.rate, 1),
            "peak_memory_mb": _rounded(self.peak_memory_mb),
            "peak_memory_holds": MEMORY_HOLDS[self._kind],
            "loading_memory_mb": _rounded(self.loading_memory_mb),
            "total_ms_least": round(min(total), 3),
            "total_ms_most": round(max(total), 3),
            "stages_gflop": {name: round(gflop, 3) for name, gflop in self.stages_gflop.items() if gflop},
            "stages_share_of_matmul": {name: round(share, 3) for name, share in self.shares().items()},
            "settings": dict(self.settings),
            "machine": dict(self.machine),
        }

    def to_text(self) -> str:
        """For people."""
        width = max(len(name) for name in self.stages_ms)
        shares = self.shares()
        total = statistics.median(self.runs_ms)
        rows = [
            "   ".join(f"{name} {value}" for name, value in self.machine.items()),
            "   ".join(f"{name} {value}" for name, value in self.settings.items()),
            "",
            f"{'stage':{width}}        ms       %    GFLOP  of the matrix rate",
        ]
        for name, each in self.stages_ms.items():
            median = statistics.median(each)
            products = f"{self.stages_gflop[name]:9.2f}  {shares[name]:6.0%}" if name in shares else ""
            rows.append(f"{name:{width}}  {median:8.1f}  {median / total:6.1%}{products}")
        gflop = sum(self.stages_gflop.values())
        rows.append(f"{'total':{width}}  {total:8.1f}  {'':6}{gflop:9.2f}  {gflop / total * 1000 / self.rate:6.0%}")
        rows += [
            "",
            f"total from {min(self.runs_ms):.1f} to {max(self.runs_ms):.1f} ms in {len(self.runs_ms)} runs",
            f"matrix rate {self.rate:.0f} GFLOP/s, the median of a float32 product after each run",
        ]
        if self.peak_memory_mb is not None:
            rows.append(f"peak memory {self.peak_memory_mb:.0f} MiB, {MEMORY_HOLDS[self._kind]}")
        return "\n".join(rows)

    @property
    def _kind(self) -> str:
        return str(self.settings["device"]).partition(":")[0]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

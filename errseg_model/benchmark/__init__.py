"""`errseg benchmark`: what an image costs, stage by stage, beside what the machine can do."""

from __future__ import annotations

from errseg_model.benchmark.report import Report
from errseg_model.benchmark.run import Options, run_benchmark

__all__ = ["Options", "Report", "run_benchmark"]

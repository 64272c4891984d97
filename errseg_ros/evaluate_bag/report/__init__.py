"""The report of an evaluation: a page for people, figures for programs, a table of frames."""

from __future__ import annotations

from errseg_ros.evaluate_bag.report.writer import FIGURES, PAGE, TABLE, write_report

__all__ = ["FIGURES", "PAGE", "TABLE", "write_report"]

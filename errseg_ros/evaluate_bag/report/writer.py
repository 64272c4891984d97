"""Writes the report's files, all or none."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from errseg_model.files import json_text, whole_together, write_text
from errseg_ros.evaluate_bag.report.figures import Figures
from errseg_ros.evaluate_bag.report.page import render
from errseg_ros.evaluate_bag.report.shares import ClassShares
from errseg_ros.evaluate_bag.report.table import parquet
from errseg_ros.evaluate_bag.results import Evaluation

PAGE = "report.html"
FIGURES = "report.json"
TABLE = "frames.parquet"


def write_report(evaluation: Evaluation, out: Path) -> None:
    """Write report.html, report.json and frames.parquet into `out`, in place of those of an earlier evaluation.

    Either all three are written or none is touched. Raises InputError where `out` cannot be written.
    """
    shares = ClassShares.of(evaluation)
    figures = Figures.of(evaluation, shares)
    with whole_together(out / PAGE, out / FIGURES, out / TABLE) as (page, numbers, table):
        write_text(page, render(evaluation, figures, shares, datetime.now().astimezone()))
        write_text(numbers, json_text(figures.to_json(evaluation)))
        table.write_bytes(parquet(evaluation, shares))

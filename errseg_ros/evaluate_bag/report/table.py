"""The table of frames, for pandas, polars, DuckDB and the like."""

from __future__ import annotations

from dataclasses import fields
from io import BytesIO
from typing import Any

import polars as pl

from errseg_ros.evaluate_bag.report.shares import ClassShares
from errseg_ros.evaluate_bag.results import Evaluation, FrameResult

SHARE = "share: "
"""What the column of a class starts with."""

_TYPES: dict[str, Any] = {
    "bag": pl.String,
    "index": pl.Int64,
    "stamp_ns": pl.Int64,
    "vocabulary": pl.Int64,
}


def frame_table(evaluation: Evaluation, shares: ClassShares) -> pl.DataFrame:
    """One row a frame: the fields of `FrameResult`, then a column for each class.

    Null is what was not measured; of a class's share, that the vocabulary in force lacks the class.
    """
    scalars = [field.name for field in fields(FrameResult) if field.name != "shares"]
    columns = [
        pl.Series(name, [getattr(frame, name) for frame in evaluation.frames], _TYPES.get(name, pl.Float64))
        for name in scalars
    ]
    columns += [
        pl.Series(SHARE + name, shares.values[:, column], nan_to_null=True) for column, name in enumerate(shares.names)
    ]
    return pl.DataFrame(columns)


def parquet(evaluation: Evaluation, shares: ClassShares) -> bytes:
    """The table as the content of a Parquet file."""
    # Made in memory, so that a full disk is the one kind of error that ordinary files have.
    content = BytesIO()
    frame_table(evaluation, shares).write_parquet(content)
    return content.getvalue()

from __future__ import annotations

import dataclasses

import numpy as np

from errseg_model.vocabulary import Vocabulary
from errseg_ros.evaluate_bag.rows import Row, Rows

WORDS = [Vocabulary.from_argument("road; sky; car"), Vocabulary.from_argument("tree")]
FIRST = Row(0, 10**18, 0.0, 0, 12.5, 0.75, 0.1, np.array([8, 0, 1]), 10, None, None, None, None)
SECOND = Row(5, 10**18 + 1, 0.1, 1, 13.0, 0.5, 0.0, np.array([10]), 10, 0.25, 0.5, 0.9, 0.8)


def filled() -> Rows:
    rows = Rows()
    rows.append(FIRST)
    rows.append(SECOND)
    return rows


def test_rows_come_back_as_they_were() -> None:
    first, second = filled().results("drive", WORDS)
    assert first.shares == {"road": 0.8, "car": 0.1}
    assert second.shares == {"tree": 1.0}
    for row, result in ((FIRST, first), (SECOND, second)):
        for field in dataclasses.fields(result):
            if field.name not in ("bag", "shares"):
                assert getattr(result, field.name) == getattr(row, field.name), field.name
    assert (first.bag, first.stamp_ns) == ("drive", 10**18)


def test_rows_survive_a_file() -> None:
    rows = filled()
    again = Rows.from_arrays({name: np.array(column) for name, column in rows.to_arrays().items()})
    assert list(again.results("drive", WORDS)) == list(rows.results("drive", WORDS))
    again.append(SECOND)
    assert (len(rows), len(again)) == (2, 3)

"""Output bags of workers that may be lost: what is kept of them, and what is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errseg_model.errors import InputError
from errseg_ros.bags import BagReader
from errseg_ros.evaluate_bag.evaluator import evaluate_one
from errseg_ros.evaluate_bag.fleet.attempts import Attempts
from errseg_ros.evaluate_bag.output_bag import OutputBags
from errseg_ros.evaluate_bag.plan import BagPlan, prepare

PIXELS = np.zeros((6, 8), np.uint8)


@pytest.fixture
def work(ros: Any, make_settings: Any, make_models: Any) -> Any:
    """A drive's plan, its settings, and models."""
    (plan,), settings = prepare([ros.drive([(0.0, PIXELS, None)], name="drive")], make_settings("road"))
    return plan, settings, make_models(settings)


def write(attempts: Attempts, work: Any) -> BagPlan:
    """A worker's part."""
    plan, settings, models = work
    evaluate_one(plan, settings, models, sink=attempts.begin(plan).make(plan, settings))
    return plan  # type: ignore[no-any-return]


@pytest.mark.parametrize("several", [False, True])
def test_an_output_bag_has_its_name_once_it_is_kept(work: Any, tmp_path: Path, several: bool) -> None:
    out = tmp_path / "out"
    attempts = Attempts(OutputBags(out, several))
    plan = write(attempts, work)
    place = out / "drive" if several else out
    assert not place.exists()
    attempts.keep(plan)
    with BagReader(place) as reader:
        assert reader.topics["/errseg/camera/mask"].count == 1
    assert {path.name for path in tmp_path.iterdir()} == {"drive", "out"}
    assert [path.name for path in place.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("whole", [False, True])
def test_nothing_is_left_of_an_attempt_that_is_lost(work: Any, tmp_path: Path, whole: bool) -> None:
    attempts = Attempts(OutputBags(tmp_path / "out", several=False))
    if whole:
        write(attempts, work)
    else:
        attempts.begin(work[0]).make(work[0], work[1])  # and never closed
    attempts.drop(work[0])
    assert {path.name for path in tmp_path.iterdir()} == {"drive"}
    attempts.keep(write(attempts, work))
    assert {path.name for path in tmp_path.iterdir()} == {"drive", "out"}


def test_a_place_that_is_taken_is_left_as_it_is(work: Any, tmp_path: Path) -> None:
    attempts = Attempts(OutputBags(tmp_path / "out", several=False))
    plan = write(attempts, work)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out exists already: remove it"):
        attempts.keep(plan)
    with pytest.raises(InputError, match="out exists already: remove it"):
        attempts.begin(plan)
    assert {path.name for path in tmp_path.iterdir()} == {"drive", "out"}
    assert not list((tmp_path / "out").iterdir())

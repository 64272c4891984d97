from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import polars as pl
import pytest

from errseg_model.errors import InputError
from errseg_model.evaluation.metrics import ConfusionMatrix
from errseg_ros.evaluate_bag.report import FIGURES, PAGE, TABLE, write_report
from errseg_ros.evaluate_bag.report.figures import Figures
from errseg_ros.evaluate_bag.report.page import render
from errseg_ros.evaluate_bag.report.shares import ClassShares
from errseg_ros.evaluate_bag.results import Evaluation

Make = Callable[..., Evaluation]
MADE = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
FILES = {PAGE, FIGURES, TABLE}


def page(evaluation: Evaluation) -> str:
    shares = ClassShares.of(evaluation)
    return render(evaluation, Figures.of(evaluation, shares), shares, MADE)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_three_files_and_nothing_else(make_evaluation: Make, tmp_path: Path) -> None:
    write_report(make_evaluation(), tmp_path / "new" / "folder")
    assert names(tmp_path / "new" / "folder") == FILES


def test_an_earlier_report_is_replaced(make_evaluation: Make, tmp_path: Path) -> None:
    write_report(make_evaluation(frames=2), tmp_path)
    write_report(make_evaluation(frames=3), tmp_path)
    assert names(tmp_path) == FILES
    assert json.loads((tmp_path / FIGURES).read_text(encoding="utf-8"))["frames"] == 3
    assert pl.read_parquet(tmp_path / TABLE).height == 3


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_cannot_be_replaced_leaves_all_as_they_were(
    make_evaluation: Make, tmp_path: Path, name: str
) -> None:
    for other in FILES - {name}:
        (tmp_path / other).write_text("old", encoding="utf-8")
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / name} cannot be written")):
        write_report(make_evaluation(), tmp_path)
    assert names(tmp_path) == FILES
    assert {(tmp_path / other).read_text(encoding="utf-8") for other in FILES - {name}} == {"old"}


def test_a_folder_that_cannot_be_made(make_evaluation: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_report(make_evaluation(), tmp_path / "file" / "out")


_LIMITED = """
import importlib.util, resource, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("samples", sys.argv[1])
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)
from errseg_model.errors import InputError
from errseg_ros.evaluate_bag.report import write_report
evaluation = samples.make(frames=3)
write_report(samples.make(frames=1), Path(sys.argv[2]))  # fonts and caches are there before the disk is full
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    write_report(evaluation, Path(sys.argv[2]))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 4000])
def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, limit: int) -> None:
    """Files cannot grow beyond `limit` bytes: none at all, or the table but not the page."""
    sample = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", _LIMITED, str(sample), str(tmp_path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "cannot be written" in done.stdout, done.stderr
    assert names(tmp_path) == FILES
    assert json.loads((tmp_path / FIGURES).read_text(encoding="utf-8"))["frames"] == 1
    assert pl.read_parquet(tmp_path / TABLE).height == 1


def test_the_table_has_a_row_a_frame(make_evaluation: Make, tmp_path: Path) -> None:
    evaluation = make_evaluation(bags=("a", "b"), frames=4, changes_at=0.2)
    write_report(evaluation, tmp_path)
    table = pl.read_parquet(tmp_path / TABLE)
    assert table.height == len(evaluation.frames)
    for name in ("bag", "index", "stamp_ns", "seconds", "vocabulary", "latency_ms", "flicker", "disagreement", "miou"):
        assert table[name].to_list() == [getattr(frame, name) for frame in evaluation.frames]
    assert table["share: sky"].to_list() == pytest.approx([f.shares["sky"] for f in evaluation.frames])
    assert table["share: dragon"].to_list() == [None, None, 0.0, 0.0] * 2
    assert "shares" not in table.columns


def test_hostile_names_stay_text(troubled: Evaluation, hostile: tuple[str, ...], tmp_path: Path) -> None:
    write_report(troubled, tmp_path)
    html = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "<script" not in html.lower()
    assert not re.search(r"<img(?! src=\"data:image/)", html)
    assert "&lt;script&gt;alert(&#39;class&#39;)&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert "车道 سيارة 🚗" in html
    assert pl.read_parquet(tmp_path / TABLE).columns[-7:-1] == [f"share: {name}" for name in hostile]
    assert set(json.loads((tmp_path / FIGURES).read_text(encoding="utf-8"))["iou"]) == set(hostile)


def test_the_same_evaluation_gives_the_same_page(troubled: Evaluation) -> None:
    assert page(troubled) == page(troubled)


@pytest.mark.parametrize(
    "options",
    [
        {"frames": 0},
        {"frames": 1},
        {"frames": 0, "labelled": False},
        {"frames": 3, "labelled": False},
        {"bags": ("a", "b"), "frames": 1},
    ],
)
def test_what_was_not_measured_is_not_shown(make_evaluation: Make, options: dict[str, object]) -> None:
    html = page(make_evaluation(**options))
    assert not re.search(r"\b(nan|NaN|None|inf)\b", re.sub(r"base64,[^\"]*", "", html))
    assert ('id="classes"' in html) == (options.get("labelled", True) and options["frames"] != 0)
    assert ('id="shares"' in html) == (options["frames"] != 0)


def test_labels_of_which_none_could_be_used_are_not_said_to_be_compared_with(make_evaluation: Make) -> None:
    labelled, plain = make_evaluation(), make_evaluation(labelled=False)
    assert labelled.truth is not None
    nothing = dataclasses.replace(labelled.truth, confusion=ConfusionMatrix(len(labelled.truth.classes)))
    html = page(dataclasses.replace(plain, truth=nothing))
    for told in (
        "· with labels",
        "mIoU of the frame",
        "A dash: ",
        "IoU per class",
        "Of a class: pixels that label and",
    ):
        assert told not in html
    assert "no label could be used" in html
    assert "By confidence, as no frame was compared with a label, the worst first." in html
    assert "No frame was compared with a label, so this report says how steady, sure and fast the model is" in html


def test_only_what_there_is_is_a_problem(make_evaluation: Make, troubled: Evaluation) -> None:
    assert "No problems were met" in page(make_evaluation())
    html = page(troubled)
    assert "No problems were met" not in html
    assert "2 of 16 frames have no label that counts, as none is within 0.05 s" in html
    assert "No vocabulary of a labelled image has 30 of the labels' classes" in html
    assert "and 10 more" in html
    assert "Interrupted." in html and "Interrupted." not in page(make_evaluation())


@pytest.mark.parametrize(
    ("bags", "changes_at", "told"),
    [
        (1, 0.2, "Dashed lines: the vocabulary changes."),
        (200, 0.1, "The vocabulary changes in too many bags"),
        (1, 5.0, "No bag has images as late as the vocabulary was to change."),
    ],
)
def test_what_became_of_a_change_is_told(make_evaluation: Make, bags: int, changes_at: float, told: str) -> None:
    evaluation = make_evaluation(bags=[f"bag {n}" for n in range(bags)], frames=3, changes_at=changes_at)
    html = page(evaluation)
    assert html.count(told) == 1
    assert ("Dashed lines" in html) + ("too many bags" in html) + ("as late as" in html) == 1


def test_classes_that_some_vocabularies_lack_are_told(make_evaluation: Make) -> None:
    evaluation = make_evaluation()
    assert evaluation.truth is not None
    truth = dataclasses.replace(evaluation.truth, missing_for_a_time={"car": (1, 3), "sky": (2,)})
    html = re.sub(r"\s+", " ", page(dataclasses.replace(evaluation, truth=truth)))
    assert "Some vocabularies lack 2 of the labels' classes; while they are in force" in html
    assert "<bdi>car</bdi> (vocabulary 1, 3), <bdi>sky</bdi> (vocabulary 2)" in html
    assert "no class is missing" not in html


def test_the_share_of_the_model_in_the_time_is_told(make_evaluation: Make, troubled: Evaluation) -> None:
    html = page(dataclasses.replace(make_evaluation(), loop_seconds=2.0, model_seconds=1.9))
    assert re.search(r"Of it in the model, from the first image on</th><td>95\.0\s%", html)
    assert "Of it in the model" not in page(dataclasses.replace(troubled, loop_seconds=2.0))  # live: the node's


def test_what_frames_a_second_are_measured_by_is_told(make_evaluation: Make, troubled: Evaluation) -> None:
    evaluation = make_evaluation()
    told = {
        page(evaluation): ("without loading the model", "divided by the time from each bag"),
        page(dataclasses.replace(evaluation, side_by_side=True)): (
            "with the start of the workers",
            "Frames of all bags, which were evaluated side by side, divided by the time of the whole evaluation",
        ),
        page(troubled): ("masks received", "divided by the time that the bags were played"),
    }
    for html, mine in told.items():
        assert [words for both in told.values() for words in both if words in html] == list(mine)


def test_how_the_model_was_run_is_told(make_evaluation: Make, troubled: Evaluation) -> None:
    ways = {"resize": "letterbox", "least share": "0.1", "backend": "compiled", "precision": "bfloat16"}
    evaluation = dataclasses.replace(make_evaluation(), run_with=ways)
    html = page(evaluation)
    for name, value in ways.items():
        assert f"{name.capitalize()}</th><td>{value}</td>" in html
    assert "480 × 640 (height × width); less where" in html
    assert "480 × 640 (height × width)</td>" in page(troubled)
    assert "Backend" not in page(troubled)


def test_ids_of_the_page_are_unique(troubled: Evaluation) -> None:
    found = re.findall(r'\bid="([^"]+)"', page(troubled))
    assert len(found) > 50
    assert len(found) == len(set(found))


def test_a_large_evaluation_gives_a_page_of_a_few_megabytes(make_evaluation: Make) -> None:
    evaluation = make_evaluation(frames=2000, classes=[f"class {k}" for k in range(150)])
    repeated = tuple(
        dataclasses.replace(frame, index=index, seconds=index / 10.0)
        for index, frame in enumerate(evaluation.frames * 5)
    )
    html = page(dataclasses.replace(evaluation, frames=repeated))
    assert "Each point of a line is the mean of 20 frames" in html
    assert "Of 150 classes with pixels the 30 that are confused most are drawn" in html
    assert len(html.encode()) < 3_000_000

"""What the benchmark of the node finds, and that it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from errseg_ros.benchmark_node.changes import Flow, Replies
from errseg_ros.benchmark_node.judging import (
    LATE_CHANGE,
    UNSTABLE_ID,
    WRONG_LABEL,
    Answer,
    Change,
    Fault,
    Labels,
    Sample,
    Words,
    delays_ms,
    growth,
    judge,
)
from errseg_ros.benchmark_node.main import main
from errseg_ros.benchmark_node.overhead import STAGES, Overhead
from errseg_ros.benchmark_node.probe import read_marks
from errseg_ros.benchmark_node.report import Report
from errseg_ros.benchmark_node.resources import sample
from errseg_ros.benchmark_node.soak import Soak
from errseg_ros.benchmark_node.traffic import Published, SerializedImage
from errseg_ros.benchmark_node.words import KNOWN, NEW
from errseg_ros.image_messages import image_message

OLD, NEWER = Words(("road", "sky"), 0.0), Words(("car", "tree"), 0.5)
CHANGES = [Change(OLD, 0, 0), Change(NEWER, asked_ns=100, replied_ns=110)]
LABELS = [Labels(1, {"road": 0, "sky": 1}, 0.0), Labels(105, {"car": 2, "tree": 3}, 0.5)]
BEFORE = Answer("front", 50, 60, ("road", "sky"), frozenset({0, 1}), 3, None)
AFTER = Answer("front", 120, 130, ("car", "tree"), frozenset({3}), 128, 127)


def kinds(*answers: Answer, labels: list[Labels] = LABELS) -> list[str]:
    return [fault.kind for fault in judge(answers, labels, CHANGES)]


def test_answers_that_are_as_they_should_be_have_no_fault() -> None:
    in_work = replace(BEFORE, stamp_ns=109, written_ns=104)  # stamped before the reply: either words are right
    early = replace(AFTER, stamp_ns=104, written_ns=106)  # in force before its reply
    assert kinds(BEFORE, in_work, early, AFTER) == []


@pytest.mark.parametrize(
    "wrong",
    [
        replace(AFTER, ids=frozenset({0, 3})),
        replace(AFTER, names=("road", "sky")),
        replace(AFTER, names=("tree", "car")),
        replace(AFTER, least_labelled=127),
        replace(AFTER, most_unlabelled=129),
        replace(BEFORE, written_ns=106),
        replace(BEFORE, stamp_ns=-2, written_ns=0),
    ],
    ids=["an id", "names", "order", "labelled below", "unlabelled above", "after other labels", "before any labels"],
)
def test_a_mask_that_its_labels_do_not_describe_is_found(wrong: Answer) -> None:
    assert kinds(BEFORE, wrong, AFTER) == [WRONG_LABEL]


def test_a_change_that_is_not_in_force_for_an_image_after_its_reply_is_found() -> None:
    late = replace(BEFORE, stamp_ns=111, written_ns=150)
    assert kinds(late, labels=LABELS[:1]) == [LATE_CHANGE]
    assert kinds(replace(late, stamp_ns=109), labels=LABELS[:1]) == []


def test_an_id_that_changes_its_name_is_found() -> None:
    assert kinds(labels=[LABELS[0], Labels(200, {"sky": 0}, 0.0)]) == [UNSTABLE_ID, UNSTABLE_ID]


def test_a_change_is_timed_to_the_first_mask_of_a_later_image() -> None:
    answers = [replace(AFTER, stamp_ns=105, written_ns=2_000_110), replace(AFTER, stamp_ns=120, written_ns=5_000_110)]
    assert delays_ms(answers, CHANGES[1:]) == [5.0]


def samples(resident: list[float]) -> list[Sample]:
    return [Sample(float(second), mb, mb / 2, 20, 30 + (second == 0)) for second, mb in enumerate(resident)]


def test_growth_is_that_after_the_first_minute() -> None:
    grown = growth(samples([50.0] * 60 + [100.0] * 61 + [101.0] * 180))
    assert (grown.first_mb, grown.last_mb, grown.percent) == (100.0, 101.0, pytest.approx(1.0))
    assert grown.trend_mb_per_minute > 0.1
    assert grown.threads == (20, 20) and grown.files == (30, 30)  # the start is not looked at


def test_one_large_sample_is_no_growth() -> None:
    assert growth(samples([*([100.0] * 299), 500.0])).percent == 0


def test_a_steady_leak_has_a_trend() -> None:
    assert growth(samples([100 + second / 60 for second in range(601)])).trend_mb_per_minute == pytest.approx(1.0)


def test_a_gap_without_masks_is_found_at_the_ends_too() -> None:
    moments = [1_000_000_000, 1_100_000_000, 1_250_000_000]
    flow = Flow.of(moments, 1_050_000_000, 1_850_000_000)
    assert (flow.masks, flow.longest_gap_ms, flow.hz) == (2, 600.0, 2.5)
    assert Flow.of([], 1_000_000_000, 3_000_000_000) == Flow(2.0, 0, 2000.0)


def test_a_gap_over_the_end_of_a_time_is_whole_in_both() -> None:
    moments = [1_000_000_000, 2_600_000_000]  # the reply comes at 1.4 s
    for start, end in ((900_000_000, 1_400_000_000), (1_400_000_000, 3_000_000_000)):
        assert Flow.of(moments, start, end).longest_gap_ms == 1600.0


def test_replies_are_summed_up() -> None:
    replies = Replies.of([float(ms) for ms in range(1, 12)])
    assert (replies.count, replies.median_ms, replies.worst_ms) == (11, 6.0, 11.0)
    assert replies.p90_ms == 10.0
    assert Replies.of([1.0, 2.0]).p90_ms <= 2.0


def test_the_overhead_is_all_but_the_model() -> None:
    places = ["received", "taken", "decoded", "model starts", "model ends", "mask starts", "mask made"]
    places += ["mask published", "confidence made", "confidence published", "class_scores published"]
    marks = {name: float(number) / 1000 for number, name in enumerate(places)} | {"travelled": 0.5}
    overhead = Overhead.of([marks] * 20)
    assert set(overhead.stages_ms) == set(STAGES) and overhead.images == 15
    assert (overhead.median_ms, overhead.model_ms) == (pytest.approx(8.0), pytest.approx(1.0))
    assert Overhead.of([marks] * 20, without=["decode"]).median_ms == pytest.approx(7.0)


def test_a_serialised_image_gets_a_new_stamp_and_nothing_else() -> None:
    message = image_message(Header(frame_id="front"), np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3))
    got = deserialize_message(SerializedImage(message).stamped(7_000_000_009), Image)
    assert (got.header.stamp.sec, got.header.stamp.nanosec) == (7, 9)
    got.header.stamp = message.header.stamp
    assert got == message


def test_this_process_has_memory_threads_and_files() -> None:
    found = sample(os.getpid(), 2.0)
    assert found.seconds == 2.0 and 0 < found.private_mb < found.resident_mb
    assert found.threads > 0 and found.files > 2


def test_the_words_differ() -> None:
    assert len(set(NEW)) == 1000
    assert all(first != second for first, second in zip(KNOWN, (*KNOWN[1:], KNOWN[0]), strict=True))


@pytest.mark.parametrize("arguments", [["--only", "speed"], ["--soak-seconds", "1"], ["--images", "0"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


def test_a_place_that_cannot_be_written_is_said_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--json", str(tmp_path / "file" / "figures.json")]) == 2
    assert "figures.json" in capsys.readouterr().err


def test_all_parts_run_over_the_real_middleware(ros_environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "errseg_ros.benchmark_node", "--images", "4", "--changes", "3", "--soak-seconds", "8"]
        + ["--input-size", "64x96", "--json", str(file)],
        env={**ros_environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert re.search(r"wrong labels, late changes, unstable ids +0 ", run.stdout)
    for overhead in figures["overhead"].values():
        assert overhead["images"] >= 4
        assert sum(overhead["stages_ms"].values()) > 0 and min(overhead["stages_ms"].values()) >= 0
    assert figures["changes"]["new_names"] == 1000 and figures["changes"]["encoding"]["seconds"] > 0
    soak = figures["soak"]
    assert len(soak["masks"]) == 4 and min(soak["masks"].values()) > 0
    assert soak["changes"] > 1 and soak["delays_ms"] and not soak["refused"]
    assert soak["unfollowed"] == soak["changes"] - len(soak["delays_ms"]) < soak["changes"]
    assert soak["incomplete"] <= 8


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, False),
        ({"masks": {"front": 3, "rear": 0}}, True),
        ({"refused": ["why"]}, True),
        ({"faults": [Fault(UNSTABLE_ID, "which")]}, True),
    ],
)
def test_a_soak_in_which_a_camera_got_no_mask_has_failed(change: dict[str, Any], failed: bool) -> None:
    soak = Soak(
        seconds=8.0,
        published=Published(240, 30.0),
        masks={"front": 3, "rear": 2},
        changes=7,
        refused=[],
        delays_ms=[5.0],
        incomplete=0,
        reply_ms=[1.0],
        faults=[],
        growth=growth(samples([100.0] * 8)),
        samples=[],
    )
    soak = replace(soak, **change)
    assert soak.failed is failed
    assert re.search(r"changes that no mask followed +6 ", Report({}, soak=soak).to_text())


def test_a_line_that_the_node_is_still_writing_is_left_for_the_next_time(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_text('[INFO] ready\ntimed {"received": 1.0}\ntimed {"recei')
    assert read_marks(log) == [{"received": 1.0}]
    log.write_text('timed {"received": 1.0}\ntimed {"received": 2.0}\n')
    assert read_marks(log) == [{"received": 1.0}, {"received": 2.0}]

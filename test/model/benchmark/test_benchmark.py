"""`errseg benchmark`, on a network that is small but whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from errseg_model.__main__ import main

SMALL = ["--random-weights", "--device", "cpu", "--input-size", "64x96", "--image-size", "50x70", "--runs", "3"]
STAGES = [
    "decode",
    "preprocess",
    "image tower",
    "cost maps and selection",
    "guidance",
    "cost embedding",
    "aggregator",
    "decoder",
    "resize and best class",
]


@pytest.mark.parametrize("classes", [1, 19, 3000])
def test_every_stage_is_measured_for_any_number_of_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], classes: int
) -> None:
    file = tmp_path / "figures.json"
    arguments = ["benchmark", *SMALL, "--num-classes", str(classes), "--max-classes", "5", "--json", str(file)]
    assert main(arguments) == 0
    figures = json.loads(file.read_text())
    assert list(figures["stages_ms"]) == STAGES
    assert all(milliseconds > 0 for milliseconds in figures["stages_ms"].values())
    # Medians of stages do not add up to the median of runs, but they do to something between least and most.
    assert figures["total_ms_least"] <= figures["total_ms"] <= figures["total_ms_most"]
    assert 0.5 < sum(figures["stages_ms"].values()) / figures["total_ms"] < 2
    assert figures["matmul_gflops"] > 0 and figures["peak_memory_mb"] > 100
    assert figures["settings"]["num_classes"] == classes and figures["machine"]["torch"] == torch.__version__
    assert "preprocess" not in figures["stages_gflop"]
    table = capsys.readouterr().out
    assert all(stage in table for stage in STAGES)


def test_operations_grow_with_the_kept_classes_and_not_with_the_threads(tmp_path: Path) -> None:
    counts = {}
    for kept, threads in ((4, 1), (4, 2), (8, 2)):
        file = tmp_path / f"{kept}_{threads}.json"
        options = ["--num-classes", "8", "--max-classes", str(kept), "--threads", str(threads), "--json", str(file)]
        before = torch.get_num_threads()
        try:
            assert main(["benchmark", *SMALL, *options]) == 0
        finally:
            torch.set_num_threads(before)
        figures = json.loads(file.read_text())
        assert figures["settings"]["threads"] == threads
        counts[kept, threads] = figures["stages_gflop"]
    assert counts[4, 1] == counts[4, 2]
    assert counts[8, 2]["decoder"] == pytest.approx(2 * counts[4, 2]["decoder"], rel=0.2)
    assert counts[8, 2]["image tower"] == counts[4, 2]["image tower"]


def test_under_a_vocabulary_classes_are_dropped_as_the_model_drops_them(tmp_path: Path) -> None:
    kept = []
    for share in (0.0, 0.1):
        file = tmp_path / f"{share}.json"
        words = ["--vocabulary", "road; sky; car; tree; fridge; soup; violin", "--min-share", str(share)]
        small = ["--device", "cpu", "--input-size", "96x160", "--image-size", "90x160", "--runs", "1"]
        assert main(["benchmark", *small, *words, "--json", str(file)]) == 0
        settings = json.loads(file.read_text())["settings"]
        assert settings["num_classes"] == 7 and settings["min_share"] == share
        kept.append(settings["kept_classes"])
    assert kept[0] == 7 and 1 <= kept[1] < 7


def test_a_backend_shows_its_halves_and_the_same_operations(tmp_path: Path) -> None:
    figures = {}
    for backend in ("pytorch", "onnxruntime"):
        file = tmp_path / f"{backend}.json"
        options = ["--num-classes", "8", "--max-classes", "4", "--backend", backend, "--json", str(file)]
        assert main(["benchmark", *SMALL, *options]) == 0
        figures[backend] = json.loads(file.read_text())
        assert figures[backend]["settings"]["backend"] == backend
    assert list(figures["onnxruntime"]["stages_ms"]) == [
        "decode",
        "preprocess",
        "image tower and guidance",
        "cost maps and selection",
        "cost embedding, aggregator, decoder",
        "resize and best class",
    ]
    assert figures["onnxruntime"]["gflop"] == figures["pytorch"]["gflop"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--random-weights", "--checkpoint", "weights.safetensors"], "exclude each other"),
        (["--model", "errseg-b"], "errseg-b has no weights in this package"),
        (["--model", "errseg-xl", "--random-weights"], "unknown model 'errseg-xl'"),
        (["--random-weights", "--max-classes", "0"], "max_classes must be at least 1"),
        (["--random-weights", "--device", "npu"], "device must be"),
        (["--random-weights", "--backend", "abacus"], "backend must be one of"),
        (["--random-weights", "--device", "cpu", "--precision", "float16"], "float16 needs a CUDA device"),
        (["--random-weights", "--num-classes", "0"], "expected an integer from 1 to"),
        (["--random-weights", "--vocabulary", "road"], "not allowed with argument"),
        (["--random-weights", "--runs", "many"], "expected an integer from 1 to"),
        (["--random-weights", "--image-size", "720p"], "expected HEIGHTxWIDTH"),
        (["--random-weights", "--input-size", "60x90"], "multiples of 32"),
    ],
)
def test_wrong_options_end_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    file = tmp_path / "figures.json"
    try:
        status = main(["benchmark", "--num-classes", "5", "--json", str(file), *options])
    except SystemExit as end:  # argparse
        status = int(end.code or 0)
    assert status == 2
    assert message in capsys.readouterr().err
    assert not file.exists()

"""Measures what an image costs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from errseg_model.backends.factory import check_backend, create_backend
from errseg_model.benchmark.matrix_rate import MatrixRate
from errseg_model.benchmark.operations import count_gflop
from errseg_model.benchmark.peak import PeakMemory
from errseg_model.benchmark.report import Report
from errseg_model.benchmark.stages import End, StagedHalves, network_stages
from errseg_model.benchmark.subject import Subject
from errseg_model.config import ModelConfig
from errseg_model.factory import Model, create_model
from errseg_model.machine import machine_facts
from errseg_model.model_choice import ModelChoice
from errseg_model.network.errseg import ERRSeg, Halves
from errseg_model.segmenter import resolve_device
from errseg_model.text import TextEncoder
from errseg_model.timing import StageTimer
from errseg_model.vocabulary import Vocabulary

WARM_UP = 3
"""Images before the first one that counts; the peak of memory is theirs."""


@dataclass(frozen=True)
class Options:
    """What is measured; sizes are (height, width)."""

    choice: ModelChoice
    """Where it has no `min_share`: the model's own with a vocabulary, and 0 with random words, which have no share of
    an image."""
    random_weights: bool
    """In place of a checkpoint."""
    words: Vocabulary | int
    """A vocabulary, or the number of random words in its place."""
    image_size: tuple[int, int]
    threads: int | None
    """Of the CPU; None takes PyTorch's own number."""
    runs: int


def run_benchmark(options: Options) -> Report:
    """Segment the same image `runs` times. Raises InputError for an option that is wrong."""
    choice = options.choice
    device = resolve_device(choice.device)
    check_backend(choice.backend, device, choice.precision)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    model = create_model(choice.model, choice.checkpoint, random_weights=options.random_weights).to(device)
    network = model.network.to(memory_format=torch.channels_last)
    named = isinstance(options.words, Vocabulary)
    config = model.config.changed(
        input_size=choice.input_size,
        resize=choice.resize,
        max_classes=choice.max_classes,
        min_share=choice.min_share if named else choice.min_share or 0.0,
    )
    words = _embed(options.words, model)
    del model  # with the text tower, which no image needs
    halves = create_backend(choice.backend, network, config, device, choice.precision)
    with tempfile.TemporaryDirectory(prefix="errseg_benchmark_") as folder:
        subject = Subject(Path(folder), config, device, words, options.image_size)
        return _measure(subject, network, halves, device, options.runs, _settings(options, config, device, len(words)))


def _embed(words: Vocabulary | int, model: Model) -> Tensor:
    """(T, C) unit vectors. A vocabulary costs the same whatever its words are, and random ones may be any number."""
    if isinstance(words, Vocabulary):
        return TextEncoder(model.text_tower, model.config.prompt, model.config.synonyms).encode(words)
    vectors = torch.randn(words, model.config.embedding_size, generator=torch.Generator().manual_seed(0))
    return F.normalize(vectors, dim=1)


def _measure(
    subject: Subject,
    network: ERRSeg,
    halves: Halves,
    device: torch.device,
    runs: int,
    settings: dict[str, object],
) -> Report:
    def segment_by_network(end: End) -> None:
        with network_stages(network, end):
            subject.segment(network, end)

    def segment(end: End) -> None:
        if halves is network:
            segment_by_network(end)
        else:
            subject.segment(StagedHalves(halves, end), end)

    seconds, rates = [], []
    with torch.inference_mode():
        peak = PeakMemory(device)
        for _ in range(WARM_UP):
            kept = subject.segment(halves, lambda stage: None)
        peak_mb = peak.read_mb()
        rate = MatrixRate(device)
        for _ in range(runs):
            timer = StageTimer(device)
            segment(timer.end)
            seconds.append(timer.seconds())
            rates.append(rate.measure())
    with torch.no_grad():
        gflop = count_gflop(segment_by_network)
    return Report(
        settings={**settings, "kept_classes": kept},
        machine=machine_facts(device),
        stages_ms={name: [each[name] * 1000 for each in seconds] for name in seconds[0]},
        stages_gflop=gflop,
        matrix_rates=rates,
        peak_memory_mb=peak_mb,
        loading_memory_mb=peak.loading_mb,
    )


def _settings(options: Options, config: ModelConfig, device: torch.device, classes: int) -> dict[str, object]:
    return {
        "model": config.name,
        "num_classes": classes,
        "max_classes": config.max_classes,
        "min_share": config.min_share,
        "input_size": list(config.input_size),
        "resize": config.resize,
        "image_size": list(options.image_size),
        "device": str(device),
        "backend": options.choice.backend,
        "precision": options.choice.precision,
        "threads": torch.get_num_threads(),
        "runs": options.runs,
    }

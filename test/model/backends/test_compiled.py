"""`CompiledHalves`: what is compiled when, with real compilations and with a compiler that only counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from errseg_model.backends.agreement import compare
from errseg_model.backends.compiled import KEPT, CompiledHalves
from errseg_model.backends.factory import create_backend
from errseg_model.backends.graphs import FuseGraph
from errseg_model.config import ModelConfig
from errseg_model.factory import Model
from errseg_model.network.errseg import Halves

CPU = torch.device("cpu")


def sized(config: ModelConfig, size: tuple[int, int]) -> ModelConfig:
    return dataclasses.replace(config, input_size=size)


def compilations() -> int:
    """Graphs that PyTorch has compiled in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.mark.timeout(900)  # the first compilation of a machine
def test_after_the_first_image_of_a_size_no_number_of_classes_compiles(
    lite: Model, computed_by: Callable[[str], Halves]
) -> None:
    halves = computed_by("compiled")
    compare(lite.network, halves, lite.config, batch=1, classes=5)
    compiled = compilations()
    assert compiled >= 4
    for classes in (1, 2, 3, 15, 16, 19, 48):
        assert compare(lite.network, halves, lite.config, batch=1, classes=classes).max_difference < 1e-3
    assert compilations() == compiled


@pytest.mark.timeout(600)
def test_every_size_is_compiled_for_itself(lite: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third, too: PyTorch would have one graph for all sizes from the second on, and stop at eight graphs."""
    compile_ = torch.compile
    # As PyTorch would, up to the graph: to make code of it takes minutes.
    monkeypatch.setattr(
        torch, "compile", lambda graph, *, options, **others: compile_(graph, backend="eager", **others)
    )
    halves = create_backend("compiled", lite.network, lite.config, CPU)
    for size in ((64, 96), (64, 64), (96, 64)):
        before = compilations()
        for classes in (5, 1, 3, 15, 16, 48):
            difference = compare(lite.network, halves, sized(lite.config, size), batch=1, classes=classes)
            assert difference.max_difference < 1e-3
            assert compilations() == before + 1 + len(KEPT), (size, classes)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Of what the decoder is given to fuse: (B, K, height, width) of the cost maps at stride 32. Nothing compiles."""
    shapes: list[tuple[int, ...]] = []

    def count(graph: Any, **_: Any) -> Any:
        def fuse(*inputs: Tensor) -> Any:
            shapes.append(tuple(inputs[1].shape))
            return graph(*inputs)

        return fuse if isinstance(graph, FuseGraph) else graph

    monkeypatch.setattr(torch, "compile", count)
    return shapes


def test_one_class_few_and_many_are_fused_with_the_first_image_of_a_size(
    lite: Model, fused: list[tuple[int, ...]]
) -> None:
    halves = create_backend("compiled", lite.network, lite.config, CPU)
    for batch, size, prepared in (
        (1, (64, 96), True),
        (1, (64, 96), False),
        (1, (96, 64), True),
        (2, (96, 64), True),  # several images are compiled apart
        (3, (96, 64), False),
        (1, (96, 64), False),
        (1, (64, 96), False),
    ):
        fused.clear()
        assert compare(lite.network, halves, sized(lite.config, size), batch, classes=4).max_difference == 0
        places = size[0] // 32, size[1] // 32
        assert fused == [(batch, kept, *places) for kept in ((1, 2, 19, 4) if prepared else (4,))]


def test_a_size_that_failed_is_prepared_again(
    lite: Model, fused: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = create_backend("compiled", lite.network, lite.config, CPU)
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> Tensor:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        patch.setattr(CompiledHalves, "run_fuse", fail)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            compare(lite.network, halves, lite.config, batch=1, classes=4)
    compare(lite.network, halves, lite.config, batch=1, classes=4)
    assert [kept for _, kept, *_ in fused] == [1, 2, 19, 4]

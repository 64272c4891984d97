from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from errseg_model.backends import cuda_graphs
from errseg_model.backends.cuda_graphs import Compute, CudaRecorder, RecordedCompute, Recording

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


class HostRecorder:
    """What a recorder does, on the CPU: replaying writes into the outputs of the recording."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, ...]] = []

    def __call__(self, compute: Compute, inputs: Sequence[Tensor]) -> Recording:
        self.recorded.append(tuple(inputs[0].shape))
        outputs = [torch.full_like(output, torch.nan) for output in compute(*inputs)]

        def replay() -> None:
            for output, value in zip(outputs, compute(*inputs), strict=True):
                output.copy_(value)

        return Recording(outputs, replay)


def product_and_sum(a: Tensor, b: Tensor) -> Sequence[Tensor]:
    return a @ b, a + b


@pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_a_replay_computes_from_the_new_inputs_and_leaves_earlier_outputs_alone(name: str) -> None:
    device = torch.device(name)
    recorder = CudaRecorder(device) if name == "cuda" else HostRecorder()
    recorded = RecordedCompute(product_and_sum, recorder)
    given = [[torch.rand(side, side, device=device), torch.rand(side, side, device=device)] for side in (5, 5, 9, 5, 9)]
    answers = [recorded(*inputs) for inputs in given]
    for inputs, answer in zip(given, answers, strict=True):
        torch.testing.assert_close(answer, list(product_and_sum(*inputs)))
    if isinstance(recorder, HostRecorder):
        assert recorder.recorded == [(5, 5), (9, 9)]


def test_the_layout_of_an_input_is_kept() -> None:
    strides = []

    def compute(x: Tensor) -> Sequence[Tensor]:
        strides.append(x.stride())
        return (x + 1,)

    images = torch.rand(1, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    RecordedCompute(compute, HostRecorder())(images)
    assert set(strides) == {images.stride()}


def test_shapes_beyond_the_limit_are_computed_without_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MAX_RECORDINGS", 2)
    recorder = HostRecorder()
    recorded = RecordedCompute(product_and_sum, recorder)
    for side in (1, 2, 3, 2):
        inputs = torch.rand(side, side), torch.rand(side, side)
        torch.testing.assert_close(recorded(*inputs), list(product_and_sum(*inputs)))
    assert len(recorder.recorded) == 2

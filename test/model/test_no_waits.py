"""From the image to the mask the host waits for nothing that the device computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from errseg_model.factory import create_model
from errseg_model.postprocessing import best_classes_at_once
from errseg_model.preprocessing import preprocess
from errseg_model.segmenter import Segmenter
from errseg_model.transfer import to_device, to_host

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense: "a number is taken out of a tensor",
    aten.nonzero: "the size of the result is known to the device alone",
    aten.masked_select: "the size of the result is known to the device alone",
    aten.bincount: "the size of the result is known to the device alone",
    aten.lift_fresh: "a tensor is made of numbers of the host",
}


class NoWaits(TorchDispatchMode):
    """Fails on what would make the host wait on CUDA."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        masks = packet in (aten.index, aten.index_put, aten.index_put_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        assert packet not in WAITS and not masks, f"{func}: {WAITS.get(packet, 'a mask selects')}"
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waits_on_cuda() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("kept", [3, 8])
def test_the_host_waits_for_nothing_between_image_and_mask(name: str, kept: int, image: NDArray[np.uint8]) -> None:
    device = torch.device(name)
    model = create_model("errseg-lite", random_weights=True).to(device)
    text = F.normalize(torch.randn(8, 384), dim=1).to(device)

    def segment(batch: Tensor) -> Tensor:
        output = model.network(batch, text, kept)
        # The CPU has a way of its own; here it stands for a GPU.
        return best_classes_at_once(output.logits[0].sigmoid(), output.selected[0], (50, 70), 0.2).mask

    with torch.inference_mode():
        first = segment(preprocess([image], model.config, device))  # kernels are set up
        if name == "cpu":
            batch = preprocess([image], model.config, device)
            with NoWaits():
                mask = segment(batch)
        else:
            with no_waits_on_cuda():
                mask = segment(preprocess([image], model.config, device))
    assert torch.equal(mask.int(), first.int())


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: int(x.max()),
        lambda x: x * torch.tensor([2.0, 3.0]),
        lambda x: x.nonzero(),
    ],
)
def test_what_would_wait_is_noticed(compute: Any) -> None:
    with pytest.raises(AssertionError), NoWaits():
        compute(torch.ones(2))


@pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_what_is_copied_there_and_back_is_the_same(name: str) -> None:
    sent = [torch.rand(700, 300), torch.arange(5).to(torch.uint16), torch.rand(3, 4, dtype=torch.float64)]
    device = torch.device(name)
    received = to_host([to_device(tensor, device) for tensor in sent])
    assert [tensor.device.type for tensor in received] == ["cpu"] * 3
    for before, after in zip(sent, received, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())


@NEEDS_CUDA
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_segmenter_replays_cuda_graphs_for_any_vocabulary(precision: str, image: NDArray[np.uint8]) -> None:
    plain = Segmenter.from_pretrained(device="cuda", input_size=(64, 96), max_classes=3)
    recorded = Segmenter.from_pretrained(
        device="cuda", input_size=(64, 96), max_classes=3, backend="compiled", precision=precision
    )
    for names in (["road", "sky", "car"], ["tree", "road", "person", "car", "sky"], ["road", "sky", "car"]):
        for segmenter in (plain, recorded):
            segmenter.set_vocabulary(names)
        assert np.mean(plain(image).mask == recorded(image).mask) > 0.95

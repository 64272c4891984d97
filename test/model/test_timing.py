from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from errseg_model import Segmenter, Vocabulary, segmenter
from errseg_model.timing import StageTimer


def test_stages_follow_each_other() -> None:
    start = time.perf_counter()
    timer = StageTimer(torch.device("cpu"))
    for stage, pause in (("short", 0.01), ("long", 0.05)):
        time.sleep(pause)
        timer.end(stage)
    seconds = timer.seconds()
    assert list(seconds) == ["short", "long"]
    assert seconds["short"] >= 0.01 and seconds["long"] >= 0.05
    assert sum(seconds.values()) <= time.perf_counter() - start


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_stages_on_cuda_are_those_of_the_device() -> None:
    device = torch.device("cuda")
    values = torch.ones(2000, 2000, device=device)
    values @ values  # the first product takes long
    torch.cuda.synchronize()
    timer = StageTimer(device)
    for stage, products in (("short", 1), ("long", 100)):
        for _ in range(products):
            values = values @ values / 2000
        timer.end(stage)
    seconds = timer.seconds()
    assert list(seconds) == ["short", "long"]
    assert 0 < seconds["short"] < seconds["long"]


def test_each_stage_of_an_image_has_its_own_work(
    random_lite: Segmenter, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = {"preprocess": 0.02, "segment_batch": 0.06, "postprocess": 0.04}
    for name, pause in pauses.items():
        slowed = partial(_slowed, getattr(segmenter, name), pause)
        monkeypatch.setattr(segmenter, name, slowed)
    encoded = random_lite.encode(Vocabulary.parse(["road", "sky"]))
    start = time.perf_counter()
    timer = StageTimer(random_lite.device)
    random_lite.segment([image], encoded, timer=timer)
    took = time.perf_counter() - start
    seconds = timer.seconds()
    assert list(seconds) == ["preprocess", "inference", "postprocess"]
    for stage, pause in zip(seconds, pauses.values(), strict=True):
        assert seconds[stage] >= pause, stage
    assert sum(seconds.values()) <= took


def _slowed(function: Callable[..., Any], pause: float, *arguments: Any, **options: Any) -> Any:
    time.sleep(pause)
    return function(*arguments, **options)


def test_the_parts_of_a_stage_add_up() -> None:
    timer = StageTimer(torch.device("cpu"))
    for stage, pause in (("cost", 0.03), ("guidance", 0.01), ("cost", 0.03)):
        time.sleep(pause)
        timer.end(stage)
    seconds = timer.seconds()
    assert list(seconds) == ["cost", "guidance"]
    assert seconds["cost"] >= 0.06

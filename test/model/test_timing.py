from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from errseg_model import Segmenter, Vocabulary
from errseg_model.timing import StageTimer

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_stages_follow_each_other(name: str) -> None:
    device = torch.device(name)
    values = torch.ones(500, 500, device=device)
    timer = StageTimer(device)
    for stage, products in (("short", 1), ("long", 30)):
        for _ in range(products):
            values = values @ values / 500
        timer.end(stage)
    seconds = timer.seconds()
    assert list(seconds) == ["short", "long"]
    assert 0 < seconds["short"] < seconds["long"]


def test_the_stages_of_an_image_add_up(random_lite: Segmenter, image: NDArray[np.uint8]) -> None:
    encoded = random_lite.encode(Vocabulary.parse(["road", "sky"]))
    start = time.perf_counter()
    timer = StageTimer(random_lite.device)
    random_lite.segment([image], encoded, timer=timer)
    took = time.perf_counter() - start
    seconds = timer.seconds()
    assert list(seconds) == ["preprocess", "inference", "postprocess"]
    assert all(each > 0 for each in seconds.values())
    assert took / 2 < sum(seconds.values()) <= took


def test_the_parts_of_a_stage_add_up() -> None:
    timer = StageTimer(torch.device("cpu"))
    for stage, pause in (("cost", 0.03), ("guidance", 0.01), ("cost", 0.03)):
        time.sleep(pause)
        timer.end(stage)
    seconds = timer.seconds()
    assert list(seconds) == ["cost", "guidance"]
    assert seconds["cost"] >= 0.06

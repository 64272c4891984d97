"""How many floating point operations an image takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from errseg_model.benchmark.stages import End


def count_gflop(compute: Callable[[End], None]) -> dict[str, float]:
    """GFLOP of each stage of `compute`, which tells where its stages end.

    Counted are matrix products, convolutions and attention, two operations for a multiplication with its addition.
    """
    # The CPU's own attention is not among those that the counter knows.
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    )
    gflop: dict[str, float] = {}
    seen = 0

    def end(stage: str) -> None:
        nonlocal seen
        total = counter.get_total_flops()
        gflop[stage] = gflop.get(stage, 0.0) + (total - seen) / 1e9
        seen = total

    with counter:
        compute(end)
    return gflop


def _attention(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query, key, value))

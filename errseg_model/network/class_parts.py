"""A few classes or positions at a time, where what is computed of one knows nothing of the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CLASSES_AT_A_TIME = 8
"""On the CPU. What is in work then takes a tenth of the memory, and stays in the cache in part."""

TOKENS_AT_A_TIME = 5000
"""Likewise, of all classes of some positions."""


def by_parts(compute: Callable[..., Tensor], at_a_time: int, *inputs: Tensor) -> Tensor:
    """`compute` of inputs (B, N, ...), which answers (B, N, ...) and each of N by itself.

    All at once where a GPU computes, a gradient is wanted, or the network is compiled or exported: N is then not known.
    """
    count = inputs[0].shape[1]
    whole = inputs[0].device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
    if whole or count <= at_a_time:
        return compute(*inputs)
    parts = [slice(first, first + at_a_time) for first in range(0, count, at_a_time)]
    first = compute(*(x[:, parts[0]] for x in inputs))
    out = first.new_empty((first.shape[0], count, *first.shape[2:]))
    out[:, parts[0]] = first
    for part in parts[1:]:
        out[:, part] = compute(*(x[:, part] for x in inputs))
    return out

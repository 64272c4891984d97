"""Copies between the host and a CUDA device that wait for nothing but the last of them.

The device copies to and from page-locked memory by itself, while the host goes on; from other memory the host waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on `device`; on CUDA the copy is on its way."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one device on the host. This waits, once, for all that they are computed from."""
    devices = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    if not devices:
        return list(tensors)
    copies = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    for copy, tensor in zip(copies, tensors, strict=True):
        copy.copy_(tensor, non_blocking=True)
    for device in devices:
        torch.cuda.current_stream(device).synchronize()
    return copies

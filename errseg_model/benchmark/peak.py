"""The most memory that a process holds while it segments images."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch

from errseg_model.memory import give_back_memory

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
MEBIBYTE = 1 << 20


class PeakMemory:
    """On CUDA what PyTorch allocated on the device, else resident memory of the process, from here on.

    Resident memory is everything that the process holds: Python, PyTorch, the weights, the image and what is computed
    of it. What lies free in the heap after the model was loaded is given back before.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.loading_mb = self.read_mb()
        """The peak until now: of loading the model. None where the system does not tell."""
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        give_back_memory()
        with contextlib.suppress(OSError):  # not Linux, or a sandbox: `read_mb` then holds loading too
            _RESET.write_text("5", encoding="ascii")  # proc(5): the peak is what is resident now

    def read_mb(self) -> float | None:
        """The peak in MiB."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MEBIBYTE
        try:
            found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
        except OSError:
            found = None
        return int(found[1]) / 1024 if found else None

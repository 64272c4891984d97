from __future__ import annotations

import pytest
import torch

from errseg_model.machine import machine_facts


@pytest.mark.parametrize(
    ("device", "gpu"), [(None, "first"), ("cpu", "first"), ("cuda:0", "first"), ("cuda:1", "second")]
)
def test_the_gpu_is_the_one_that_computes(device: str | None, gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    names = {None: "first", torch.device("cuda:0"): "first", torch.device("cuda:1"): "second"}
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    assert machine_facts(torch.device(device) if device else None)["gpu"] == gpu


def test_a_machine_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine_facts()["gpu"] == "none"

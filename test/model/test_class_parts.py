"""Classes and positions by parts, as the CPU computes them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from errseg_model.factory import create_model
from errseg_model.network import cost_embedding, decoder, escf
from errseg_model.network.class_parts import by_parts


@pytest.mark.parametrize("batch", [1, 2])
def test_a_few_classes_at_a_time_give_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    torch.manual_seed(0)
    network = create_model("errseg-lite", random_weights=True).network
    images, text = torch.randn(batch, 3, 64, 96), F.normalize(torch.randn(7, 384), dim=1)
    logits = {}
    with torch.inference_mode():
        for at_a_time in (2, 1000):
            for module, name in (
                (cost_embedding, "CLASSES_AT_A_TIME"),
                (escf, "CLASSES_AT_A_TIME"),
                (escf, "TOKENS_AT_A_TIME"),
                (decoder, "CLASSES_AT_A_TIME"),
            ):
                monkeypatch.setattr(module, name, at_a_time)
            logits[at_a_time] = network(images, text, 7).logits
    torch.testing.assert_close(logits[2], logits[1000], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("classes", "gradient", "sizes"), [(8, False, [8]), (19, False, [8, 8, 3]), (19, True, [19])])
def test_parts_are_small_unless_a_gradient_is_wanted(classes: int, gradient: bool, sizes: list[int]) -> None:
    seen = []

    def double(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[1])
        return part.sum(3) * 2

    x = torch.randn(2, classes, 3, 4)
    with torch.set_grad_enabled(gradient):
        assert torch.equal(by_parts(double, 8, x), x.sum(3) * 2)
    assert seen == sizes

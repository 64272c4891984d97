from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from errseg_model.benchmark.operations import count_gflop
from errseg_model.benchmark.stages import End


def test_products_convolutions_and_attention_are_counted_for_their_stage() -> None:
    def compute(end: End) -> None:
        torch.ones(10, 20) @ torch.ones(20, 30)
        end("product")
        F.conv2d(torch.ones(1, 3, 8, 8), torch.ones(5, 3, 3, 3), padding=1)
        end("convolution")
        tokens = torch.ones(2, 4, 16, 8)
        F.scaled_dot_product_attention(tokens, tokens, tokens)
        end("attention")
        torch.ones(10, 20) @ torch.ones(20, 30)
        end("product")

    with torch.no_grad():
        gflop = count_gflop(compute)
    assert gflop == pytest.approx(
        {
            "product": 2 * 2 * 10 * 20 * 30 / 1e9,
            "convolution": 2 * 8 * 8 * 5 * 3 * 9 / 1e9,
            "attention": 2 * (2 * 2 * 4 * 16 * 16 * 8) / 1e9,
        }
    )

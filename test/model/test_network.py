"""Properties that the paper gives ERR-Seg's parts, whatever the weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from errseg_model.config import model_config
from errseg_model.network.escf import EfficientSemanticContextFusion, FusionBlock
from errseg_model.network.guidance import ImageGuidance
from errseg_model.network.hsm import DenseEmbeddings
from errseg_model.segmenter import Segmenter


@pytest.fixture
def text() -> torch.Tensor:
    return F.normalize(torch.randn(7, 384, generator=torch.Generator().manual_seed(1)), dim=1)


@torch.inference_mode()
def test_cost_map_is_the_cosine() -> None:
    dense = torch.tensor([[3.0, 0.0], [4.0, 2.0]])[None, :, None, :]  # (1, 2, 1, 2)
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    expected = torch.tensor([[0.6, 0.0], [0.8, 1.0], [1.0, 0.8]])
    cost = DenseEmbeddings(F.normalize(dense, dim=1), F.normalize(dense[..., :1], dim=1)).cost_maps(text)
    torch.testing.assert_close(cost.stride16[0, :, 0], expected)
    torch.testing.assert_close(cost.stride32[0, :, 0], expected[:, :1])


@torch.inference_mode()
def test_escf_does_not_depend_on_the_order_of_classes() -> None:
    torch.manual_seed(0)
    layer = EfficientSemanticContextFusion(width=16, heads=4).eval()
    x, image, text = torch.randn(2, 5, 4, 6, 16), torch.randn(2, 16, 4, 6), torch.randn(2, 5, 16)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(layer(x[:, order], image, text[:, order]), layer(x, image, text)[:, order])


def test_a_training_leaves_out_residuals_of_whole_sequences_and_keeps_their_mean() -> None:
    torch.manual_seed(0)
    block = FusionBlock(16, 4, spatial=True)
    x, guidance = torch.randn(2, 500, 2, 2, 16), block.attention.guide(torch.randn(2, 1, 2, 2, 16))
    with torch.no_grad():
        for parameter in block.mlp.parameters():
            parameter.zero_()  # the attention's residual alone
        residual = block(x, guidance) - x
        block.drop_path = 0.3
        dropped = block(x, guidance) - x
        torch.testing.assert_close(block.eval()(x, guidance) - x, residual)
    left_out = (dropped == 0).flatten(2).all(2)
    assert left_out.float().mean() == pytest.approx(0.3, abs=0.05)
    torch.testing.assert_close(dropped[~left_out], residual[~left_out] / 0.7, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("flows", [True, False])
def test_the_gradient_of_the_decoders_guidance_can_stop_at_the_image_tower(flows: bool) -> None:
    config = model_config("errseg-lite")
    guide = ImageGuidance(config)
    guide.detaches_decoder = not flows
    stages = [torch.randn(1, width, 32 >> n, 32 >> n) for n, width in enumerate(config.stage_widths)]

    def learns(of: str) -> list[bool]:
        wanted = [stage.clone().requires_grad_() for stage in stages]
        maps = getattr(guide(wanted), of)
        sum(one.sum() for one in (maps if of == "decoder" else [maps])).backward()
        return [stage.grad is not None for stage in wanted]

    assert learns("decoder") == [flows, flows, flows, False]
    assert learns("aggregator") == [False, False, True, True]


@torch.inference_mode()
def test_logits_do_not_depend_on_the_order_of_the_vocabulary(random_lite: Segmenter, text: torch.Tensor) -> None:
    network, images = random_lite._network, torch.randn(1, 3, 64, 96)
    order = torch.tensor([6, 2, 0, 5, 1, 4, 3])
    logits = network(images, text, 7).logits
    torch.testing.assert_close(network(images, text[order], 7).logits, logits[:, order], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_any_number_of_classes(random_lite: Segmenter, text: torch.Tensor, classes: int) -> None:
    output = random_lite._network(torch.randn(2, 3, 64, 96), text[:classes], 5)
    assert output.logits.shape == (2, min(classes, 5), 16, 24)
    assert output.selected.shape == (2, min(classes, 5))
    assert output.cost.stride16.shape == (2, classes, 4, 6)
    assert output.cost.stride32.shape == (2, classes, 2, 3)


@torch.inference_mode()
def test_a_batch_equals_its_images_one_by_one(random_lite: Segmenter, text: torch.Tensor) -> None:
    images = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    together = random_lite._network(images, text, 4)
    for index in range(3):
        alone = random_lite._network(images[index : index + 1], text, 4)
        torch.testing.assert_close(alone.selected[0], together.selected[index])
        torch.testing.assert_close(alone.logits[0], together.logits[index], atol=1e-4, rtol=1e-4)

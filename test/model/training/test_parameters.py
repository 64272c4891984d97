"""Which parameters learn under the recipes of the repository."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from errseg_model import InputError
from errseg_model.config import ModelConfig, model_config
from errseg_model.factory import Model, create_model
from errseg_model.network.errseg import ERRSeg
from errseg_model.network.image_tower import ConvNeXtTower
from errseg_model.text.clip import ClipTextTower
from errseg_model.training.losses import Processes
from errseg_model.training.objective import Objective
from errseg_model.training.parameters import choose_rates, create_optimizer, named_parameters
from errseg_model.training.pretrained import load_clip
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import Words, WordSampler
from errseg_model.vocabulary import VocabularyEntry

CONFIG = Path(__file__).parents[3] / "config" / "training"
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear", "image_size": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def tiny_model(config: ModelConfig, clip: torch.nn.Module) -> Model:
    network = ERRSeg(config, ConvNeXtTower(clip.visual))
    text = ClipTextTower(clip, "convnext_base_w_320")
    return Model(config, network, text)


@pytest.fixture
def tiny_b() -> Model:
    """ERR-Seg-B in every part, with the smallest ConvNeXt and a text tower of two layers."""
    torch.manual_seed(0)
    config = dataclasses.replace(
        model_config("errseg-b"),
        stage_widths=(40, 80, 160, 320),
        embedding_size=32,
        width=16,
        cost_width=16,
        guidance_width=16,
        layers=1,
        decoder_widths=(16, 16, 16),
        decoder_guidance_widths=(8, 8, 8),
    )
    return tiny_model(config, open_clip.CLIP(**TINY))


def test_of_clip_exactly_what_the_paper_names_learns(tiny_b: Model) -> None:
    recipe = TrainingRecipe.read(CONFIG / "errseg-b.yaml")
    rates = choose_rates(tiny_b, recipe.rates)
    for name, parameter in named_parameters(tiny_b):
        if name.startswith("hsm.image_tower."):
            expected = re.search(r"gamma$|mlp.*weight$|conv_dw\.weight$", name) is not None
        elif name.startswith("text_tower."):
            expected = re.search(r"transformer.*(in_proj_weight|c_fc\.weight)$", name) is not None
        else:
            expected = True
        assert parameter.requires_grad == expected, name
        assert rates.get(name, 0) == (0 if not expected else 0.01 if "tower" in name else 1), name
    learning = {name for name in rates if "tower" in name}
    assert {re.sub(r"\d+", "N", name) for name in learning} == {
        "hsm.image_tower.trunk.stages.N.blocks.N.gamma",
        "hsm.image_tower.trunk.stages.N.blocks.N.conv_dw.weight",
        "hsm.image_tower.trunk.stages.N.blocks.N.mlp.fcN.weight",
        "text_tower.clip.transformer.resblocks.N.attn.in_proj_weight",
        "text_tower.clip.transformer.resblocks.N.mlp.c_fc.weight",
    }


def test_the_text_tower_learns_through_the_words_of_a_step(tiny_b: Model) -> None:
    recipe = dataclasses.replace(TrainingRecipe.read(CONFIG / "errseg-b.yaml"), min_classes=2, max_classes=2)
    optimizer = create_optimizer(tiny_b, recipe)
    base_rates = sorted({group["base_rate"] for group in optimizer.param_groups})
    assert base_rates == pytest.approx([2e-6, 2e-4])
    words = Words.of_classes([VocabularyEntry.parse(name) for name in ("car, automobile", "road", "sky")], ())
    sampler = WordSampler(words, recipe, tiny_b.text_tower, 32)
    objective = Objective(tiny_b, recipe, sampler.phrases, torch.tensor([1.0, 1.0, 1.0, 0.0]), Processes())
    images, labels = torch.randint(0, 255, (2, 3, 64, 64)), torch.randint(0, 4, (2, 64, 64))
    terms = objective(images, labels, sampler.draw(np.random.default_rng(0)))
    assert terms[0] > 0 and (terms[1:] == 0).all()
    assert tiny_b.network.image_guidance.detaches_decoder
    terms.sum().backward()
    for name, parameter in named_parameters(tiny_b):
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert tiny_b.text_tower.clip.transformer.resblocks[0].attn.in_proj_weight.grad.abs().sum() > 0


def test_clip_weights_fill_both_towers(tiny_b: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    clip = open_clip.CLIP(**TINY)
    expected = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    monkeypatch.setattr(open_clip, "create_model", lambda name, pretrained: clip)
    load_clip(tiny_b, "tag")
    weights = tiny_b.named_tensors()
    trunk = "hsm.image_tower.trunk.stages.3"
    assert torch.equal(weights[f"{trunk}.blocks.0.gamma"], expected["visual.trunk.stages.3.blocks.0.gamma"])
    assert torch.equal(weights["text_tower.clip.text_projection"], expected["text_projection"])
    finer = weights["hsm.image_tower.modify_downsample.2.weight"]
    assert torch.equal(finer, expected["visual.trunk.stages.3.downsample.1.weight"])


def test_clip_weights_that_do_not_exist_are_refused(tiny_b: Model) -> None:
    with pytest.raises(InputError, match="pretrained 'no-such-tag' of convnext_base_w_320 cannot be loaded"):
        load_clip(tiny_b, "no-such-tag")


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"decoder.*": 1.0}, r"no pattern of rates fits .*: end them with '\*'"),
        ({"*": 1.0, "decoder.*": 0.5}, r"decoder\.\*, which is not the first to fit"),
        ({"decodre.*": 1.0, "*": 1.0}, r"decodre\.\*, which is not the first"),
        ({"*": 0.0}, "nothing learns"),
    ],
)
def test_rates_that_do_not_fit_the_model_are_refused(tiny_b: Model, rates: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_rates(tiny_b, rates)


def test_the_recipe_of_the_embedded_model_freezes_the_first_blocks() -> None:
    model = create_model("errseg-lite", random_weights=True)
    rates = choose_rates(model, TrainingRecipe.read(CONFIG / "errseg-lite.yaml").rates)
    assert not any(name.startswith("hsm.image_tower.trunk.blocks.1.") for name in rates)
    assert rates["hsm.image_tower.trunk.blocks.2.0.conv_pw.weight"] == 0.25 and rates["decoder.head.weight"] == 1

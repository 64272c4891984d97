"""`create_model`: the one way to an ERR-Seg network and its text tower."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from errseg_model.checkpoint import CheckpointError, existing_file, load_checkpoint
from errseg_model.config import ModelConfig, model_config
from errseg_model.network.errseg import ERRSeg
from errseg_model.network.image_tower import ConvNeXtTower, EfficientNetLiteTower
from errseg_model.text.clip import ClipTextTower
from errseg_model.text.minilm import MiniLMTextTower
from errseg_model.text.tower import TextTower


@dataclass(frozen=True)
class Model:
    """A network, the text tower whose embeddings it reads, and the data that describes both."""

    config: ModelConfig
    network: ERRSeg
    text_tower: TextTower

    def named_tensors(self) -> dict[str, Tensor]:
        """Every weight that a checkpoint of this model holds, by our names.

        A frozen text tower is no part of it: it has a package and a checksum of its own.
        """
        tensors = dict(self.network.state_dict())
        if isinstance(self.text_tower, ClipTextTower):
            tensors |= {f"text_tower.{name}": tensor for name, tensor in self.text_tower.state_dict().items()}
        return {name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")}

    def to(self, device: torch.device) -> Model:
        """Move both towers and the network to `device`; the model itself is returned."""
        self.network.to(device)
        self.text_tower.to(device)
        return self


def create_model(name: str, checkpoint: str | Path | None = None, *, random_weights: bool = False) -> Model:
    """An ERR-Seg in evaluation mode on the CPU.

    Args:
        name: one of `errseg_model.config.list_models()`.
        checkpoint: a published file or a safetensors file; None takes the weights that come with the package.
        random_weights: leave the weights as initialised (training, benchmarks).

    Raises:
        InputError: unknown model.
        CheckpointError: the weights are absent or do not fit.
        TextTowerMissing: errseg-lite's text tower is not installed.
    """
    config = model_config(name)
    # Before the towers are built: a missing file should not cost half a minute.
    file = None if random_weights else existing_file(checkpoint or embedded_checkpoint(config))
    model = _build(config)
    if file is not None:
        load_checkpoint(file, model.named_tensors())
    model.network.eval()
    return model


def embedded_checkpoint(config: ModelConfig) -> Path:
    """The weights that come with the package. Raises CheckpointError for a model that has none."""
    path = Path(str(resources.files("errseg_model") / "weights" / f"{config.name}.safetensors"))
    if not path.is_file():
        raise CheckpointError(
            f"{config.name} has no weights in this package: download the published file (README, 'Published weights') "
            "and name it as checkpoint"
        )
    return path


def _build(config: ModelConfig) -> Model:
    if config.image_tower == "convnext":
        # Not open_clip.create_model, which warns that the weights are random: they come from the checkpoint.
        clip = open_clip.CLIP(**open_clip.get_model_config(config.image_tower_name))
        network = ERRSeg(config, ConvNeXtTower(clip.visual))
        text_tower: TextTower = ClipTextTower(clip, config.image_tower_name).eval().requires_grad_(False)
    else:
        tower = EfficientNetLiteTower(config.image_tower_name, config.embedding_size)
        network = ERRSeg(config, tower)
        text_tower = MiniLMTextTower()
    return Model(config, network, text_tower)

"""The training loop: resumes from its checkpoint, logs to CSV, ends in a safetensors file."""

from __future__ import annotations

import csv
import dataclasses
import random
import time
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from errseg_model.checkpoint import save_checkpoint
from errseg_model.datasets.camvid import CLASSES
from errseg_model.factory import Model, create_model
from errseg_model.network.errseg import ERRSeg
from errseg_model.network.image_tower import EfficientNetLiteTower
from errseg_model.training.losses import cost_loss, segmentation_loss
from errseg_model.training.prototypes import (
    imagenet_names,
    load_imagenet_weights,
    prototype_loss,
    start_projection,
)
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.samples import TrainingCrops
from errseg_model.training.words import WordSampler

SAVE_EVERY = 100
LOG_EVERY = 10
GRADIENT_NORM = 1.0
FROZEN_BLOCKS = 2
"""Blocks of the trunk (to stride 4) that keep ImageNet's weights: most of the time, least of the gain."""


class Trainer:
    """Trains `errseg-lite` by a recipe, in a folder that holds the state to resume from."""

    def __init__(self, recipe: TrainingRecipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder = recipe, folder
        self.model: Model = create_model(recipe.model, random_weights=True)
        self.words = WordSampler(recipe.words, CLASSES, self.model.text_tower)
        tower = self.model.network.hsm.image_tower
        assert isinstance(tower, EfficientNetLiteTower)
        self.tower = tower
        self.prototypes = load_imagenet_weights(tower)
        self.names = self.model.text_tower.embed(imagenet_names()).clone()
        start_projection(tower, self.prototypes, self.names)
        for part in (tower.trunk.conv_stem, tower.trunk.bn1, *tower.trunk.blocks[:FROZEN_BLOCKS]):
            part.requires_grad_(False)
        self.averaged = AveragedModel(
            self.model.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=False
        )
        self.optimizer = self._optimizer()
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, recipe.learning_rate_factor)
        self.step = 0
        self._state = folder / "state.pt"
        if self._state.is_file():
            self._resume()

    def run(self, until: int | None = None) -> Path:
        """Train to the recipe's end, or to step `until`; returns the averaged weights' file."""
        end = min(self.recipe.steps, until or self.recipe.steps)
        crops = TrainingCrops(self.recipe, self.model.config, self.step * self.recipe.batch_size)
        weights = crops.class_weights()
        self.folder.mkdir(parents=True, exist_ok=True)
        _train_mode(self.model.network)
        started = time.monotonic()
        with open(self.folder / "log.csv", "a", newline="", encoding="utf-8") as file:
            log = csv.writer(file)
            batches = iter(DataLoader(crops, batch_size=self.recipe.batch_size))
            for _ in tqdm(range(self.step, end), initial=self.step, total=end, desc="training", mininterval=5):
                images, labels = next(batches)
                losses = self._train_step(images, labels, weights)
                if self.step % LOG_EVERY == 0:
                    log.writerow([self.step, f"{time.monotonic() - started:.1f}", *(f"{x:.4f}" for x in losses)])
                    file.flush()
                if self.step % SAVE_EVERY == 0 or self.step == end:
                    self._save()
        return self._export()

    def _train_step(self, images: Tensor, labels: Tensor, weights: Tensor) -> list[float]:
        recipe, config = self.recipe, self.model.config
        vocabulary = self.words.draw(random.Random(recipe.seed * 1_000_003 + self.step), recipe.distractors)
        mean, std = torch.tensor(config.mean)[:, None, None], torch.tensor(config.std)[:, None, None]
        pixels = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        present = torch.stack([(labels == c).flatten(1).any(1) & (c >= 0) for c in vocabulary.class_of], dim=1)
        output = self.model.network(pixels, vocabulary.embeddings, recipe.max_classes, keep=present)
        terms = (
            segmentation_loss(output, labels, vocabulary, weights, recipe),
            recipe.cost_weight * cost_loss(output, labels, vocabulary, weights),
            recipe.prototype_weight * prototype_loss(self.tower, self.prototypes, self.names),
        )
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(terms).sum().backward()
        nn.utils.clip_grad_norm_(self.model.network.parameters(), GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        self.averaged.update_parameters(self.model.network)
        self.step += 1
        return [term.item() for term in terms]

    def _optimizer(self) -> torch.optim.AdamW:
        """The image tower's trunk learns slower; norms and biases do not decay."""
        recipe = self.recipe
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, parameter in self.model.network.named_parameters():
            if not parameter.requires_grad:
                continue
            pretrained = name.startswith(("hsm.image_tower.trunk", "hsm.image_tower.modify_downsample"))
            groups.setdefault((pretrained, parameter.ndim > 1), []).append(parameter)
        return torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": recipe.learning_rate * (recipe.image_tower_rate if pretrained else 1.0),
                    "weight_decay": recipe.weight_decay if decays else 0.0,
                }
                for (pretrained, decays), parameters in groups.items()
            ]
        )

    def _save(self) -> None:
        state = {
            "step": self.step,
            "network": self.model.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        partial = self._state.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._state)

    def _resume(self) -> None:
        state = torch.load(self._state, weights_only=True)
        self.step = state["step"]
        self.model.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def _export(self) -> Path:
        path = self.folder / f"{self.recipe.model}.safetensors"
        averaged = dataclasses.replace(self.model, network=cast(ERRSeg, self.averaged.module))
        save_checkpoint(path, averaged.named_tensors(), self.recipe.model)
        return path


def _train_mode(network: nn.Module) -> None:
    """Train everything but the statistics of the batch norms: batches are small and of two strides."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()

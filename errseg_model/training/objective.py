"""What one step computes: a batch of crops to the terms of the loss."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.factory import Model
from errseg_model.network.image_tower import EfficientNetLiteTower
from errseg_model.training.losses import Processes, cost_loss, segmentation_losses
from errseg_model.training.prototypes import prototype_loss
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.words import StepVocabulary

TERMS = ("entropy", "jaccard", "cost", "prototype")
"""The terms of the loss, weighted, in the order of `Objective`'s output."""


class Objective(nn.Module):
    """Network, text tower and losses as one module, so that a step of it can be spread over processes."""

    known: Tensor
    class_weights: Tensor
    mean: Tensor
    std: Tensor
    prototypes: Tensor | None
    prototype_names: Tensor | None

    def __init__(
        self,
        model: Model,
        recipe: TrainingRecipe,
        phrases: list[str],
        class_weights: Tensor,
        prototypes: tuple[Tensor, Tensor] | None,
        processes: Processes,
    ) -> None:
        """Which parameters learn must be decided before.

        Args:
            model: both towers and the network.
            recipe: of the training.
            phrases: all that a step can draw; a text tower that does not learn embeds them here, once.
            class_weights: (classes + 1,) weight of a pixel by its label.
            prototypes: ImageNet's (1000, F) and the embeddings of their names (1000, C).
            processes: that share the batch.
        """
        super().__init__()
        self.network, self.text_tower = model.network, model.text_tower
        self._recipe, self._processes, self._prompt = recipe, processes, model.config.prompt
        self._learns_words = any(parameter.requires_grad for parameter in model.text_tower.parameters())
        self._number = {phrase: number for number, phrase in enumerate(dict.fromkeys(phrases))}
        known = torch.zeros(0) if self._learns_words else model.text_tower.embed(self._prompted(self._number)).clone()
        mean, std = torch.tensor(model.config.mean)[:, None, None], torch.tensor(model.config.std)[:, None, None]
        constants: dict[str, Tensor | None] = {"known": known, "class_weights": class_weights, "mean": mean, "std": std}
        rows, names = prototypes or (None, None)
        for name, constant in (constants | {"prototypes": rows, "prototype_names": names}).items():
            self.register_buffer(name, constant, persistent=False)

    def forward(self, images: Tensor, labels: Tensor, vocabulary: StepVocabulary) -> Tensor:
        """(terms,) of images (B, 3, h, w) uint8 and labels (B, h, w) int64."""
        recipe, weights = self._recipe, self.class_weights
        pixels = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        seen = labels.new_zeros(len(labels), len(weights), dtype=torch.bool)
        seen.scatter_(1, labels.flatten(1), True)
        classes = vocabulary.class_of
        present = seen[:, classes.clamp(min=0)] & (classes >= 0)
        # The reduction of every process keeps as many classes as that of one process with the whole batch would.
        kept = max(recipe.max_classes, int(self._processes.max(present.sum(1).max())))
        output = self.network(pixels, self.embed(vocabulary), kept, keep=present)
        with torch.autocast(images.device.type, enabled=False):
            terms = [*segmentation_losses(output, labels, vocabulary, weights, recipe, self._processes)]
            zero = terms[0].new_zeros(())
            cost = cost_loss(output, labels, vocabulary, weights, self._processes) if recipe.cost_weight else zero
            terms += [recipe.cost_weight * cost, recipe.prototype_weight * self._prototype_loss(zero)]
        return torch.stack(terms)

    def embed(self, vocabulary: StepVocabulary) -> Tensor:
        """(T, C) unit vectors of the vocabulary's entries, with gradients where the text tower learns."""
        phrases = list(dict.fromkeys(phrase for entry in vocabulary.entries for phrase in entry))
        number = {phrase: position for position, phrase in enumerate(phrases)}
        if self._learns_words:
            vectors = self.text_tower(self._prompted(phrases))
        else:
            vectors = self.known[[self._number[phrase] for phrase in phrases]]
        means = [vectors[[number[phrase] for phrase in entry]].mean(0) for entry in vocabulary.entries]
        embeddings = F.normalize(torch.stack(means), dim=1)
        return embeddings if vocabulary.shift is None else F.normalize(embeddings + vocabulary.shift, dim=1)

    def _prototype_loss(self, zero: Tensor) -> Tensor:
        tower = self.network.hsm.image_tower
        if not isinstance(tower, EfficientNetLiteTower) or self.prototypes is None or self.prototype_names is None:
            return zero
        return prototype_loss(tower, self.prototypes, self.prototype_names)

    def _prompted(self, phrases: Iterable[str]) -> list[str]:
        return [self._prompt.format(phrase) for phrase in phrases]

"""What one step computes: a batch of crops to the terms of the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.factory import Model
from errseg_model.network.crm import class_counts, rank_classes
from errseg_model.network.errseg import segment_batch
from errseg_model.network.hsm import CostMaps
from errseg_model.network.image_tower import EfficientNetLiteTower
from errseg_model.training.losses import Processes, cost_loss, segmentation_losses, teacher_loss
from errseg_model.training.prototypes import ImageNetKnowledge, imagenet_names, prototype_loss
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.teacher import name_void
from errseg_model.training.words import NUM_NAMES, StepVocabulary

TERMS = ("entropy", "jaccard", "cost", "prototype", "teacher")
"""The terms of the loss, weighted, in the order of `Objective`'s output."""


class Objective(nn.Module):
    """Network, text tower and losses as one module, so that a step of it can be spread over processes."""

    known: Tensor
    class_weights: Tensor
    mean: Tensor
    std: Tensor
    prototypes: Tensor
    names: Tensor
    others: Tensor

    def __init__(
        self,
        model: Model,
        recipe: TrainingRecipe,
        phrases: list[str],
        class_weights: Tensor,
        processes: Processes,
        imagenet: ImageNetKnowledge | None = None,
    ) -> None:
        """Which parameters learn must be decided before.

        Args:
            model: both towers and the network.
            recipe: of the training.
            phrases: all that a step can draw; a text tower that does not learn embeds them here, once.
            class_weights: (classes + 1,) weight of a pixel by its label, void's last.
            processes: that share the batch.
            imagenet: what the weights of ImageNet know, where the recipe starts from them.
        """
        super().__init__()
        self.network, self.text_tower = model.network, model.text_tower
        self.network.set_training(guidance_gradient=recipe.guidance_gradient, drop_path=recipe.drop_path)
        self._recipe, self._processes, self._prompt = recipe, processes, model.config.prompt
        self._teacher = imagenet.teacher if imagenet is not None and recipe.teacher_weight else None
        self._learns_words = any(parameter.requires_grad for parameter in model.text_tower.parameters())
        if self._teacher is not None:
            phrases = [*phrases, *imagenet_names()]
        self._number = {phrase: number for number, phrase in enumerate(dict.fromkeys(phrases))}
        known = torch.zeros(0) if self._learns_words else model.text_tower.embed(self._prompted(self._number)).clone()
        mean, std = torch.tensor(model.config.mean)[:, None, None], torch.tensor(model.config.std)[:, None, None]
        self._void = len(class_weights) - 1
        # What the teacher names is as rare as the rarest class.
        weights = torch.cat([class_weights, class_weights.amax().expand(NUM_NAMES)])
        constants = {"known": known, "class_weights": weights, "mean": mean, "std": std}
        if imagenet is not None:
            constants |= {"prototypes": imagenet.prototypes, "names": imagenet.names, "others": imagenet.others}
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)

    def forward(self, images: Tensor, labels: Tensor, vocabulary: StepVocabulary) -> Tensor:
        """(terms,) of images (B, 3, h, w) uint8 and labels (B, h, w) int64."""
        recipe, weights = self._recipe, self.class_weights
        pixels = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        said = None if self._teacher is None else self._teacher(pixels)
        if said is not None:
            labels = name_void(labels, said, self._void, self.others, recipe.teacher_threshold)
            vocabulary = vocabulary.with_names(self._names_in(labels), self._void)
        seen = labels.new_zeros(len(labels), len(weights), dtype=torch.bool)
        seen.scatter_(1, labels.flatten(1), True)
        classes = vocabulary.class_of
        present = seen[:, classes.clamp(min=0)] & (classes >= 0)
        # The reduction of every process keeps as many classes as that of one process with the whole batch would.
        kept = max(vocabulary.max_classes, int(self._processes.max(present.sum(1).max())))
        draw = partial(self._draw, present=present, uniform=vocabulary.uniform, count=kept)
        text = self.embed(vocabulary)
        if said is not None:
            text = torch.cat([text, self.names])  # for the cost maps alone
        output = segment_batch(self.network, pixels, text, draw)
        cost, names = _split(output.cost, len(vocabulary.entries))
        output = dataclasses.replace(output, cost=cost)
        with torch.autocast(images.device.type, enabled=False):
            terms = [*segmentation_losses(output, labels, vocabulary, weights, recipe, self._processes)]
            zero = terms[0].new_zeros(())
            of_cost = (
                cost_loss(output, labels, vocabulary, weights, recipe, self._processes) if recipe.cost_weight else zero
            )
            of_teacher = zero if said is None else teacher_loss(names, said, self._processes)
            terms += [
                recipe.cost_weight * of_cost,
                recipe.prototype_weight * self._prototype_loss(zero),
                recipe.teacher_weight * of_teacher,
            ]
        return torch.stack(terms)

    def _draw(self, cost: Tensor, present: Tensor, uniform: Tensor, count: int) -> Tensor:
        """The channel reduction of a step: of the classes that an image votes for `count` (B, count)."""
        votes = class_counts(cost[:, : len(uniform)])
        return draw_classes(votes, present, uniform, max(self._recipe.candidates, count), count)

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

    def _names_in(self, labels: Tensor) -> Tensor:
        """Labels, ascending, of ImageNet's names in the batch of all processes."""
        counts = torch.bincount(labels.flatten(), minlength=len(self.class_weights))
        return self._processes.sum(counts)[self._void + 1 :].nonzero()[:, 0] + self._void + 1

    def _prototype_loss(self, zero: Tensor) -> Tensor:
        tower = self.network.hsm.image_tower
        if not isinstance(tower, EfficientNetLiteTower) or not self._recipe.prototype_weight:
            return zero
        return prototype_loss(tower, self.prototypes, self.names)

    def _prompted(self, phrases: Iterable[str]) -> list[str]:
        return [self._prompt.format(phrase) for phrase in phrases]


def _split(maps: CostMaps, count: int) -> tuple[CostMaps, CostMaps]:
    """The first `count` cost maps and the rest."""
    fine, coarse = maps.stride16, maps.stride32
    return CostMaps(fine[:, :count], coarse[:, :count]), CostMaps(fine[:, count:], coarse[:, count:])


def draw_classes(votes: Tensor, present: Tensor, uniform: Tensor, candidates: int, count: int) -> Tensor:
    """Of the classes with the most votes those that are present, and others: at place n with a weight of 1 / sqrt(n).

    Were only those with the most looked at, a class with few would never learn to stay low, and would win where a
    model keeps it. Drawn as Efraimidis and Spirakis do, "Weighted random sampling with a reservoir", 2006.

    Args:
        votes: (B, T) int64, of a class in an image.
        present: (B, T) bool, of which at most `count` in an image.
        uniform: (T,) random numbers in (0, 1].
        candidates: how many classes may be drawn, `count` at least; where they are as many, nothing is left to chance.
        count: of classes that stay; all do where there are fewer.

    Returns:
        (B, K) int64, ascending.
    """
    order = rank_classes(votes, present)[:, :candidates]
    place = torch.arange(1, order.shape[1] + 1, device=order.device)
    keys = uniform.log()[order] * place.sqrt()
    keys = keys.masked_fill(present.gather(1, order), torch.inf)
    return order.gather(1, keys.topk(min(count, keys.shape[1]), dim=1).indices).sort(dim=1).values

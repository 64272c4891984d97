"""Which parameters learn, and how fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import torch
from torch import nn

from errseg_model.errors import InputError
from errseg_model.factory import Model
from errseg_model.text.clip import ClipTextTower
from errseg_model.training.recipe import TrainingRecipe


def named_parameters(model: Model) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter that a checkpoint of the model holds, by the checkpoint's names."""
    yield from model.network.named_parameters()
    if isinstance(model.text_tower, ClipTextTower):
        for name, parameter in model.text_tower.named_parameters():
            yield f"text_tower.{name}", parameter


def choose_rates(model: Model, rates: Mapping[str, float]) -> dict[str, float]:
    """Let those parameters learn whose rate is above 0.

    Args:
        model: whose parameters are told to learn or not to.
        rates: patterns of names, as those of files, to a factor on the learning rate. The first that fits counts.

    Returns:
        The rate of every parameter that learns.

    Raises:
        InputError: a pattern that fits no parameter, a parameter that no pattern fits, or nothing that learns.
    """
    used, chosen = set(), {}
    for name, parameter in named_parameters(model):
        pattern = next((pattern for pattern in rates if fnmatchcase(name, pattern)), None)
        if pattern is None:
            raise InputError(f"recipe: no pattern of rates fits {name}: end them with '*'")
        used.add(pattern)
        parameter.requires_grad_(rates[pattern] > 0)
        if rates[pattern] > 0:
            chosen[name] = rates[pattern]
    if idle := [pattern for pattern in rates if pattern not in used]:
        raise InputError(f"recipe: rates has {', '.join(idle)}, which is not the first to fit any parameter")
    if not chosen:
        raise InputError("recipe: every rate is 0: nothing learns")
    return chosen


def create_optimizer(model: Model, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW over what learns; norms and biases do not decay. `base_rate` of a group is its rate without schedule."""
    rates = choose_rates(model, recipe.rates)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named_parameters(model):
        if name in rates:
            groups.setdefault((rates[name], parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": recipe.learning_rate * rate,
                "base_rate": recipe.learning_rate * rate,
                "weight_decay": recipe.weight_decay if decays else 0.0,
            }
            for (rate, decays), parameters in groups.items()
        ]
    )

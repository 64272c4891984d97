"""`errseg export`: the network as two ONNX graphs, checked against PyTorch.

encode.onnx reads images; fuse.onnx reads the cost maps of the kept classes. The size of the vocabulary appears in
neither: text embeddings are an input, so new words need no new export. model.json describes both and says what comes
between them.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errseg_model.cli.options import add_network_options
from errseg_model.config import ModelConfig
from errseg_model.errors import InputError
from errseg_model.files import check_place, json_text, whole_together

if TYPE_CHECKING:
    from errseg_model.backends.agreement import Agreement
    from errseg_model.backends.onnx_export import OnnxGraphs
    from errseg_model.network.errseg import ERRSeg

DESCRIPTION = "model.json"

MAX_DIFFERENCE = 1e-3
"""Logits of the files may differ from PyTorch's by this much."""

CHECKED = ((1, 3), (2, 19))
"""Batches and numbers of kept classes that the files are run with."""

BETWEEN = (
    "cost = dense16 . text for each of T words (unit vectors), likewise dense32; keep K of T by the places 1, 2 and "
    "3 that each class takes at the pixels of stride 16 (weights 100, 10, 1), in ascending order; cost16, cost32 "
    "and text are those of the kept classes. A class's score is the sigmoid of its logits. Where resize is "
    "letterbox, an image is resized to the largest size within input_size that has its aspect ratio, rounded to "
    "multiples of 4, and padded on the right and below with zeros after normalising, to input_size, which is the one "
    "size that encode takes; only pixels of stride 16 whose middles lie in the image are counted, and the logits are "
    "cut to the image. The model itself pads to multiples of 32 only, which spares work: for images of one aspect "
    "ratio export with that size (384x640 for 16:9). A word is "
    "put into prompt and encoded by text_tower; of a class with synonyms the first alone or the mean of the unit "
    "vectors, as synonyms says. min_share, where it is above 0, is the share of the weights below which a class is "
    "not among the K."
)


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write the network as ONNX",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="onnx, which OpenVINO and TensorRT read")
    add_network_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the files")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Export, check, write. Raises InputError; then nothing is written."""
    # PyTorch takes seconds to import: not for those who only ask for help.
    from errseg_model.backends.onnx_export import export_onnx, require
    from errseg_model.factory import create_model

    require("onnxruntime", "the check of exported files")
    if os.path.exists(arguments.out) and not os.path.isdir(arguments.out):
        raise InputError(f"--out {arguments.out} is a file: name a folder")
    check_place(arguments.out / DESCRIPTION)
    model = create_model(arguments.model, arguments.checkpoint)
    config = model.config.changed(input_size=arguments.input_size)
    graphs = export_onnx(model.network, config, config.input_size)
    agreement = check(model.network, config, graphs)
    names = ("encode.onnx", "fuse.onnx", DESCRIPTION)
    with whole_together(*(arguments.out / name for name in names)) as (encode, fuse, description):
        encode.write_bytes(graphs.encode)
        fuse.write_bytes(graphs.fuse)
        description.write_text(json_text(describe(config, graphs, agreement)), encoding="utf-8")
    print(
        f"checked against PyTorch on random input: logits differ by at most {agreement.max_difference:.1e}, "
        f"{agreement.mask_agreement * 100:.2f} % of the pixels have the same class"
    )
    print(f"written to {arguments.out}: {', '.join(names)}")


def check(network: ERRSeg, config: ModelConfig, graphs: OnnxGraphs) -> Agreement:
    """Run the graphs in ONNX Runtime beside the network. Raises InputError when they differ."""
    import torch

    from errseg_model.backends.agreement import Agreement, compare
    from errseg_model.backends.exported import ExportedHalves
    from errseg_model.backends.onnx_runtime import OnnxRuntimeEngine

    device = torch.device("cpu")
    exported = ExportedHalves(lambda _: graphs, lambda graph: OnnxRuntimeEngine(graph, device, tensorrt=False))
    agreement = Agreement(max_difference=0.0, mask_agreement=1.0)
    for batch, classes in CHECKED:
        agreement = agreement.worse(compare(network, exported, config, batch, classes))
    if agreement.max_difference > MAX_DIFFERENCE:
        raise InputError(
            f"the exported graphs differ from PyTorch by {agreement.max_difference:.1e}, more than {MAX_DIFFERENCE}: "
            "nothing is written; install the versions of onnx, onnxscript and onnxruntime that requirements/ names"
        )
    return agreement


def describe(config: ModelConfig, graphs: OnnxGraphs, agreement: Agreement) -> dict[str, Any]:
    """What a program that runs the files has to know."""
    return {
        "model": config.name,
        "format": "onnx",
        "input_size": list(config.input_size),
        "resize": config.resize,
        "pixels": {
            "order": "RGB",
            "mean": list(config.mean),
            "std": list(config.std),
            "antialias": config.antialias,
        },
        "max_classes": config.max_classes,
        "min_share": config.min_share,
        "text_tower": config.text_tower,
        "prompt": config.prompt,
        "synonyms": config.synonyms,
        "graphs": {
            name: {"file": f"{name}.onnx", **_signature(graph)}
            for name, graph in (("encode", graphs.encode), ("fuse", graphs.fuse))
        },
        "between": BETWEEN,
        "check": dataclasses.asdict(agreement),
    }


def _signature(graph: bytes) -> dict[str, Any]:
    """Names and shapes of inputs and outputs, as the file has them."""
    import onnx

    content = onnx.load_from_string(graph).graph
    return {
        "inputs": {value.name: _shape(value) for value in content.input},
        "outputs": {value.name: _shape(value) for value in content.output},
    }


def _shape(value: Any) -> list[int | str]:
    dimensions = value.type.tensor_type.shape.dim
    return [d.dim_param if d.HasField("dim_param") else d.dim_value for d in dimensions]

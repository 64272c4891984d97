"""`python -m errseg_ros.benchmark_node`: figures of the node as a process of its own, over the real middleware."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from errseg_model.cli.figures import add_json_option, check_json, show_figures
from errseg_model.cli.options import input_size
from errseg_model.errors import InputError
from errseg_ros.benchmark_node.changes import measure_changes
from errseg_ros.benchmark_node.machine import machine_facts
from errseg_ros.benchmark_node.overhead import measure_overhead
from errseg_ros.benchmark_node.report import Report
from errseg_ros.benchmark_node.soak import run_soak
from errseg_ros.isolation import isolate
from errseg_ros.node_process import NodeError

PARTS = ("overhead", "changes", "soak")

_SHORTEST_SOAK = 6.0
_BEFORE_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns 0, 2 for wrong input, 1 when the node failed, a mask was wrong or none came."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    try:
        check_json(options.json)
        report = _measure(options)
        show_figures(f"\n{report.to_text()}", report.to_json(), options.json)
    except InputError as error:
        print(f"benchmark_node: {error}", file=sys.stderr)
        return 2
    except NodeError as error:
        print(f"benchmark_node: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if report.soak is not None and report.soak.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmark_node", description=__doc__)
    parser.add_argument(
        "--only", type=_parts, default=PARTS, metavar="PARTS", help=f"of {','.join(PARTS)}, separated by commas"
    )
    parser.add_argument("--images", type=_whole_number, default=200, help="for the overhead (default: 200)")
    parser.add_argument("--changes", type=_whole_number, default=60, help="to names seen before (default: 60)")
    parser.add_argument("--soak-seconds", type=_soak_seconds, default=600.0, metavar="S", help="(default: 600)")
    parser.add_argument("--input-size", type=input_size, metavar="HxW", help="of the model (default: its own)")
    add_json_option(parser)
    return parser


def _measure(options: argparse.Namespace) -> Report:
    parameters: dict[str, Any] = {} if options.input_size is None else {"input_size": list(options.input_size)}
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        isolate(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="errseg_benchmark_")))
        steps: dict[str, Callable[[], object]] = {
            "overhead": lambda: measure_overhead(folder, options.images, parameters),
            "changes": lambda: measure_changes(folder, options.changes, _BEFORE_SECONDS, parameters),
            "soak": lambda: run_soak(folder, options.soak_seconds, parameters, _say),
        }
        for part in options.only:
            _say(part)
            figures[part] = steps[part]()
    return Report(machine_facts(), **figures)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if not set(parts) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"expected of {', '.join(PARTS)}, got {text!r}")
    return tuple(part for part in PARTS if part in parts)


def _whole_number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number from 2 on, got {text!r}")
    return number


def _soak_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _SHORTEST_SOAK <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected {_SHORTEST_SOAK:.0f} seconds or more, got {text!r}")
    return seconds


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

"""The options of `evaluate_bag --live`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields

from errseg_model.errors import InputError
from errseg_model.model_choice import ModelChoice

# What the node decides, and what only an evaluation without it can do.
_NOT_LIVE = (
    *(field.name for field in fields(ModelChoice)), "stride", "vocabulary", "vocabulary_at", "compare",
    "confidence_threshold", "output_bag", "resume", "ray", "ray_cpus",
)  # fmt: skip
_ONLY_LIVE = ("node", "camera", "live_topic", "wait", "idle")


@dataclass(frozen=True)
class LiveOptions:
    """Which node, which topic, and how long to wait."""

    node: str = "/errseg"
    camera: str = "camera"
    topic: str | None = None
    """Where the images are published; None: where they were recorded."""
    wait_seconds: float = 60.0
    """For the node."""
    idle_seconds: float = 5.0
    """Without an image or a mask until the drive is over."""


def add_live_options(parser: argparse.ArgumentParser, seconds: Callable[[str], float]) -> None:
    """Add them; `seconds` reads a number."""
    own = LiveOptions()
    group = parser.add_argument_group("the running node, while somebody plays the bag")
    group.add_argument("--live", action="store_true", help="evaluate what errseg_node answers instead of a model")
    group.add_argument("--node", default=own.node, metavar="NAME", help=f"full name of the node (default {own.node})")
    group.add_argument(
        "--camera", default=own.camera, metavar="C", help=f"one of the node's cameras (default {own.camera})"
    )
    group.add_argument("--live-topic", metavar="T", help="where the images are played (default: as in the bag)")
    group.add_argument(
        "--wait",
        type=seconds,
        default=own.wait_seconds,
        metavar="SECONDS",
        help=f"for the node to be there (default {own.wait_seconds:g})",
    )
    group.add_argument(
        "--idle",
        type=seconds,
        default=own.idle_seconds,
        metavar="SECONDS",
        help=f"end after so long without an image or a mask (default {own.idle_seconds:g})",
    )


def live_options(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> LiveOptions | None:
    """What was asked for; None without --live. Raises InputError for options that do not go together."""
    wrong = [name for name in (_NOT_LIVE if arguments.live else _ONLY_LIVE) if _is_given(arguments, parser, name)]
    if wrong:
        option = f"--{wrong[0].replace('_', '-')}"
        reason = "does not go with --live, which takes the node as it is" if arguments.live else "needs --live"
        raise InputError(f"{option} {reason}")
    if not arguments.live:
        return None
    if len(arguments.bags) > 1:
        raise InputError("--live evaluates one bag: the one that is played")
    node = arguments.node if arguments.node.startswith("/") else f"/{arguments.node}"
    return LiveOptions(node, arguments.camera, arguments.live_topic, arguments.wait, arguments.idle)


def _is_given(arguments: argparse.Namespace, parser: argparse.ArgumentParser, name: str) -> bool:
    return bool(getattr(arguments, name) != parser.get_default(name))

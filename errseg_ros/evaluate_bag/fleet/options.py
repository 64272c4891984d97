"""The options of `evaluate_bag --ray`."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from errseg_model.cli.options import count
from errseg_model.errors import InputError

DEFAULT_CPUS = 1
LOCAL = "local"
AUTO = "auto"


@dataclass(frozen=True)
class FleetOptions:
    """Which cluster, and how much of it a bag is given."""

    address: str
    """AUTO, LOCAL or HOST:PORT."""
    cpus: int = DEFAULT_CPUS
    """Of each bag's task, and PyTorch's threads in it."""


def add_fleet_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("many bags on many machines, each bag a task of a Ray cluster")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help=f"HOST:PORT of the cluster that this machine is in, or {AUTO} for the one that runs here; {LOCAL} starts "
        "one on this machine alone, for as long as the command runs",
    )
    group.add_argument(
        "--ray-cpus", type=count, metavar="N", help=f"cores and threads for each bag (default {DEFAULT_CPUS})"
    )


def fleet_options(arguments: argparse.Namespace) -> FleetOptions | None:
    """What was asked for; None without --ray. Raises InputError for options that do not go together."""
    if arguments.ray is None:
        if arguments.ray_cpus is not None:
            raise InputError("--ray-cpus needs --ray")
        return None
    if arguments.ray.startswith("ray://"):
        raise InputError(
            "--ray takes no Ray Client (ray://): start the command on a machine of the cluster, with --ray auto"
        )
    if arguments.ray not in (AUTO, LOCAL) and not re.fullmatch(r"[^\s/]+:\d{1,5}", arguments.ray):
        raise InputError(f"--ray takes {AUTO}, {LOCAL} or HOST:PORT, got {arguments.ray!r}")
    return FleetOptions(arguments.ray, arguments.ray_cpus or DEFAULT_CPUS)

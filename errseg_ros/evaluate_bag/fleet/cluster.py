"""The connection to a Ray cluster, from the command's first word to it until its last."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from errseg_model.errors import InputError
from errseg_ros.evaluate_bag.fleet.options import AUTO, LOCAL, FleetOptions
from errseg_ros.evaluate_bag.settings import Settings

ANSWER_SECONDS = 20.0
"""A cluster has to answer within."""
_STORE_BYTES = 256 << 20  # of a local cluster; what is on the way to the command, some 30 MB a bag

# Ray sends usage figures home, and warns of what a later version will do with GPUs.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True)
class Share:
    """What each task asks for."""

    cpus: int
    gpus: int
    fits: bool
    """Whether some machine of the cluster is large enough; clusters that grow may get one."""


@contextmanager
def connected(options: FleetOptions, settings: Settings) -> Iterator[Share]:
    """Use a cluster, or start one here for LOCAL. Raises InputError where that cannot be done."""
    _check_devices(settings)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError(f"--ray needs the engine Ray ({error}): pip install '.[fleet]'") from None
    if options.address != LOCAL:
        _await_answer(options.address)
    # Ray takes SIGTERM over.
    before = signal.getsignal(signal.SIGTERM)
    started: dict[str, Any] = {}
    if options.address == LOCAL:
        started = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(options.address, log_to_driver=False, logging_level=logging.ERROR, **started)
        # What befalls workers Ray prints here, many lines each; the command tells it in one.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            signal.signal(signal.SIGTERM, before)
            machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
            yield _share(options, settings, machines)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError) or ray.is_initialized():
            raise
        raise InputError(f"--ray {options.address}: {_first_line(error)}") from None
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, before)


def _check_devices(settings: Settings) -> None:
    for device in _devices(settings):
        if device.startswith("cuda:"):
            raise InputError(f"--device {device} does not go with --ray, which gives each bag a GPU: take cuda")


def _share(options: FleetOptions, settings: Settings, machines: list[dict[str, float]]) -> Share:
    """A GPU for a bag where the model is to run on one, and the cluster has any."""
    has_gpu = any(machine.get("GPU", 0) >= 1 for machine in machines)
    devices = _devices(settings)
    if "cuda" in devices and not has_gpu:
        raise InputError("--device cuda: no machine of the cluster has a GPU; use auto or cpu")
    gpus = int(has_gpu and any(device != "cpu" for device in devices))
    fits = any(m.get("CPU", 0) >= options.cpus and m.get("GPU", 0) >= gpus for m in machines)
    return Share(options.cpus, gpus, fits)


def _devices(settings: Settings) -> set[str]:
    return {settings.model.device, *([settings.comparison.model.device] if settings.comparison else [])}


def _await_answer(address: str) -> None:
    """Raises InputError. Ray itself would try for minutes, and write about each of them."""
    until = time.monotonic() + ANSWER_SECONDS
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    if address != AUTO:
        command += ["--address", address]
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"--ray {address}: no Ray cluster answers there: {error}") from None
    try:
        left = max(until - time.monotonic(), 1.0)
        healthy = subprocess.run(command, capture_output=True, timeout=left).returncode == 0
    except subprocess.TimeoutExpired:
        healthy = False
    if not healthy:
        start = " (`ray start --head` starts one; --ray local needs none)" if address == AUTO else ""
        raise InputError(f"--ray {address}: no Ray cluster answers within {ANSWER_SECONDS:g} s{start}")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)

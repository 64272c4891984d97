"""Keeps programs that start a node of their own out of the way of other ROS nodes."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LAST_DOMAIN = 100  # above some 120 the ports of a domain meet those that Linux gives to clients


@contextmanager
def own_domain(wish: int) -> Iterator[int]:
    """Reserve a ROS domain id from 1 to LAST_DOMAIN that no other program of ours on this machine uses now.

    A lock on a file in the folder for temporary files keeps it, and falls with the process. `wish` says where to look
    first. Raises RuntimeError when all are taken.
    """
    for number in range(LAST_DOMAIN):
        domain = (wish + number) % LAST_DOMAIN + 1
        path = Path(tempfile.gettempdir()) / f"errseg_ros_domain_{domain}.lock"
        with ExitStack() as stack:
            try:
                lock = stack.enter_context(path.open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # taken, or another user's
                continue
            yield domain
            return
    raise RuntimeError(f"all ROS domains from 1 to {LAST_DOMAIN} are in use on this machine")


def isolate(stack: ExitStack) -> None:
    """A ROS domain of our own, on this machine only, for all our processes; what the user has set stays."""
    if "ROS_DOMAIN_ID" not in os.environ:
        os.environ["ROS_DOMAIN_ID"] = str(stack.enter_context(own_domain(random.randrange(LAST_DOMAIN))))
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if "ROS_LOG_DIR" not in os.environ:  # all there is to say is in the logs of the processes
        os.environ["ROS_LOG_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="errseg_log_"))

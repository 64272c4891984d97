"""Keeps programs that start a node of their own out of the way of other ROS nodes."""

from __future__ import annotations

import os
import random
import tempfile
from contextlib import ExitStack

LAST_DOMAIN = 100  # above some 120 the ports of a domain meet those that Linux gives to clients


def isolate(stack: ExitStack) -> None:
    """A ROS domain of our own, on this machine only, for all our processes; what the user has set stays."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randint(1, LAST_DOMAIN)))
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if "ROS_LOG_DIR" not in os.environ:  # all there is to say is in the logs of the processes
        os.environ["ROS_LOG_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="errseg_log_"))

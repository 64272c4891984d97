"""Keeps programs that start a node of their own out of the way of other ROS nodes."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from errseg_model.errors import InputError

LAST_DOMAIN = 100  # above some 120 the ports of a domain meet those that Linux gives to clients


@contextmanager
def own_domain(wish: int) -> Iterator[int]:
    """Reserve a ROS domain id from 1 to LAST_DOMAIN that no other program of ours on this machine uses now.

    A lock on a file in the folder for temporary files keeps it, and falls with the process. `wish` says where to look
    first. Raises InputError when all are taken.
    """
    for number in range(LAST_DOMAIN):
        domain = (wish + number) % LAST_DOMAIN + 1
        path = Path(tempfile.gettempdir()) / f"errseg_ros_domain_{domain}.lock"
        with ExitStack() as stack:
            try:
                lock = _open(path)
                stack.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # taken, or a file that another user keeps to himself
                continue
            yield domain
            return
    raise InputError(f"all ROS domains from 1 to {LAST_DOMAIN} are in use on this machine: end other demos and tests")


def _open(path: Path) -> int:
    """The file for reading, which is enough for a lock, so that a file that another user left does as well."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)


def isolate(stack: ExitStack) -> None:
    """A ROS domain of our own, on this machine only, for all our processes, with our Fast DDS profile.

    The domain that the user has set may be the vehicle's: its node would get our images and our words.
    """
    os.environ["ROS_DOMAIN_ID"] = str(stack.enter_context(own_domain(random.randrange(LAST_DOMAIN))))
    _use_fast_dds_profile()
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if "ROS_LOG_DIR" not in os.environ:  # all there is to say is in the logs of the processes
        os.environ["ROS_LOG_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="errseg_log_"))


def _use_fast_dds_profile() -> None:
    """As the launch file does. In .venv every Python has it; nothing is done where the user names a profile."""
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in names):
        return
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        profile = Path(get_package_share_directory("errseg_ros")) / "config" / "fastdds.xml"
    except (PackageNotFoundError, OSError):  # not installed as a ROS package, or nothing is sourced
        return
    os.environ.update(dict.fromkeys(names, str(profile)))

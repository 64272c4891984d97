"""Fixtures for all tests."""

from __future__ import annotations

import fcntl
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
LAST_DOMAIN = 100  # above some 120 the ports of a domain meet those that Linux gives to clients


@contextmanager
def _own_domain(wish: int) -> Iterator[int]:
    """Reserve a ROS domain id from 1 to LAST_DOMAIN that no other test on this machine uses now.

    A lock on a file in the folder for temporary files keeps it, and falls with the process.
    """
    for number in range(LAST_DOMAIN):
        domain = (wish + number) % LAST_DOMAIN + 1
        path = Path(tempfile.gettempdir()) / f"errseg_ros_domain_{domain}.lock"
        try:
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield domain
                return
        except (BlockingIOError, PermissionError):  # taken, or another user's
            continue
    pytest.fail(f"all ROS domains from 1 to {LAST_DOMAIN} are in use by other tests on this machine")


@contextmanager
def _ros_environment(wish: str, folder: Path) -> Iterator[dict[str, str]]:
    with _own_domain(zlib.crc32(f"{os.getpid()} {wish}".encode())) as domain:
        yield {
            **os.environ,
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_LOG_DIR": str(folder / "ros_log"),
            "PYTHONUNBUFFERED": "1",
        }


@pytest.fixture
def ros_environment(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Environment for the subprocesses of a test that uses DDS: a domain of its own, on this machine only."""
    with _ros_environment(request.node.nodeid, tmp_path) as environment:
        yield environment


@pytest.fixture(scope="module")
def ros_module_environment(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, str]]:
    """As `ros_environment`, but one for all tests of a module, so that they can share a node."""
    with _ros_environment(request.node.nodeid, tmp_path_factory.mktemp("ros")) as environment:
        yield environment


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of recordings and data sets that are not part of the repository; skips where it is absent."""
    folder = Path(os.environ.get("ERRSEG_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder} (ERRSEG_SHARED names another)")
    return folder

"""Fixtures for all tests."""

from __future__ import annotations

import fcntl
import os
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from errseg_ros.isolation import own_domain

REPOSITORY = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what runs in its background so, and programs under test would be started the same way.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _ros_environment(wish: str, folder: Path) -> Iterator[dict[str, str]]:
    with own_domain(zlib.crc32(f"{os.getpid()} {wish}".encode())) as domain:
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


@pytest.fixture(scope="module", autouse=True)
def _no_dead_shared_memory() -> Iterator[None]:
    """A process that is killed leaves segments of Fast DDS behind, tens of MB each: all tests' fill the memory."""
    yield
    for lock in Path("/dev/shm").glob("fastdds_[0-9a-f]*_el"):
        with suppress(FileNotFoundError), lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its process lives
                continue
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of recordings and data sets that are not part of the repository; skips where it is absent."""
    folder = Path(os.environ.get("ERRSEG_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder} (ERRSEG_SHARED names another)")
    return folder

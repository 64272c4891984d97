from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from rosbags.rosbag2 import Writer

from errseg_model.errors import InputError
from errseg_ros.bags.writing import STORAGES, NewBag


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), sqlite3.OperationalError("disk I/O error")])
def test_a_bag_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(self: Writer) -> None:
        raise error

    monkeypatch.setattr(Writer, "open", fail)
    with pytest.raises(InputError, match=r"bag .*/drive cannot be written: (No space left|disk I/O error)"):
        NewBag(tmp_path / "drive")
    assert not list(tmp_path.iterdir())


def test_an_error_of_others_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError), NewBag(tmp_path / "drive"):
        raise KeyError("of the block")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("storage", list(STORAGES))
def test_a_full_disk_is_one_line(tmp_path: Path, storage: str) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    command = [sys.executable, "-m", "errseg_ros.sample_bag", "--out", tmp_path / "drive", "--storage", storage]
    result = subprocess.run(
        [*command, "--duration", "1"], capture_output=True, text=True, timeout=100, check=False, preexec_fn=full
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"sample_bag: bag {tmp_path / 'drive'} cannot be written: ")
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())

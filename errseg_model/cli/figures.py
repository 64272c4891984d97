"""What a command measured: on the terminal for people, and with --json for programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from errseg_model.files import check_place, write_json


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures here")


def check_json(place: Path | None) -> None:
    """Before anything is measured. Raises InputError where --json cannot be written."""
    if place is not None:
        check_place(place)


def show_figures(text: str, content: dict[str, Any], place: Path | None) -> None:
    """Print, and write --json where it is asked for. Raises InputError."""
    try:
        print(text, flush=True)
    except UnicodeEncodeError:  # of a terminal that has no such letters
        print(text.encode("ascii", "backslashreplace").decode(), flush=True)
    finally:  # neither is to cost the other
        if place is not None:
            write_json(place, content)

"""What the programs that measure a model on CamVid share: options, messages and exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from errseg_model.cli.figures import add_json_option, check_json, show_figures
from errseg_model.cli.options import add_model_options
from errseg_model.errors import InputError


def run(
    module: str,
    description: str | None,
    add_options: Callable[[argparse.ArgumentParser], None],
    measure: Callable[[argparse.Namespace], tuple[str, dict[str, Any]]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Measure and print. Returns the exit status: wrong input ends in one message and 2.

    Args:
        module: of `errseg_model`, the program.
        description: for its help.
        add_options: adds those of its own.
        measure: the options to the text that is printed and the content of --json. Raises InputError.
        arguments: None takes the command line's.
    """
    parser = argparse.ArgumentParser(prog=f"python -m errseg_model.{module}", description=description)
    add_options(parser)
    parser.add_argument("--root", type=Path, default=Path("../shared/camvid"), metavar="DIR", help="CamVid's folder")
    parser.add_argument("--split", default="test", metavar="S", help="default: test")
    add_json_option(parser)
    add_model_options(parser)
    options = parser.parse_args(arguments)
    try:
        check_json(options.json)
        show_figures(*measure(options), options.json)
    except InputError as error:
        print(f"{module.replace('_', '-')}: error: {error}", file=sys.stderr)
        return 2
    return 0

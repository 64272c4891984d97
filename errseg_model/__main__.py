"""The command `errseg`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from errseg_model.errors import InputError
from errseg_model.memory import reuse_memory
from errseg_model.openmp import wait_passively


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand. Wrong input ends in one message and exit status 2."""
    reuse_memory()
    wait_passively()
    # Here, so that `import errseg_model` does not pay for the command line.
    from errseg_model.cli import benchmark, calibrate, evaluate, export, segment, train

    parser = argparse.ArgumentParser(prog="errseg", description="Open-vocabulary segmentation with ERR-Seg.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    segment.add_parser(subparsers)
    evaluate.add_parser(subparsers)
    benchmark.add_parser(subparsers)
    export.add_parser(subparsers)
    train.add_parser(subparsers)
    calibrate.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except InputError as error:
        print(f"errseg: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("errseg: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`errseg_node`: the process around the node. Starts it, spins it, ends it with exit status 0 on a signal."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import rclpy
import rclpy.logging
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor

if TYPE_CHECKING:
    from errseg_ros.segmentation_node import SegmentationNode

STOP_SECONDS = 1.0
"""For an image or a change of names that is being computed; then the process ends without it."""

THREADS = 4
"""One for images, one for parameters, one for a change of the state, one for the clock and diagnostics."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the node until SIGINT or SIGTERM: exit status 0, or 1 when it cannot start."""
    # Where other programs use the cores, OpenMP threads that spin for work slow an image down a hundredfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Before anything that takes long: rclpy's own handlers come on top of these and call them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    node = None
    status = 0
    try:
        node = _create(args)
        _autostart(node)
        executor = MultiThreadedExecutor(THREADS)
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except _StartError as error:
        rclpy.logging.get_logger("errseg").fatal(str(error))
        status = 1
    except Exception:
        traceback.print_exc()
        status = 1
    if node is not None:
        node.stop(STOP_SECONDS)
        node.destroy_node()  # tells other nodes; without it they wait for this one to time out
    rclpy.try_shutdown()
    _leave(status)


class _StartError(Exception):
    """The node cannot start; the message is one line for the user."""


def _create(args: Sequence[str] | None) -> SegmentationNode:
    try:
        rclpy.init(args=None if args is None else list(args))
    except RuntimeError as error:  # RCLError, UnknownROSArgsError: a parameter file that is absent or broken
        raise _StartError(f"wrong arguments: {' '.join(str(error).split())}") from None
    # PyTorch: seconds, so signals must work by now.
    from errseg_model.errors import InputError
    from errseg_ros.segmentation_node import SegmentationNode

    try:
        return SegmentationNode()
    except InputError as error:
        raise _StartError(str(error)) from None


def _autostart(node: SegmentationNode) -> None:
    from errseg_model.errors import InputError

    try:
        node.autostart()
    except InputError as error:
        raise _StartError(str(error)) from None


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break into the clean end.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def _leave(status: int) -> NoReturn:
    """End the process at once: Python would wait for threads that compute, and take PyTorch apart."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()

"""`errseg_node`: the process around the node. Starts it, spins it, ends it with exit status 0 on a signal.

ROS and PyTorch take seconds to import, and signals must work before: they are imported where they are needed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from errseg_model.memory import reuse_memory
from errseg_ros.fault_log import FaultLog

if TYPE_CHECKING:
    from rclpy.executors import Executor

    from errseg_ros.segmentation_node import SegmentationNode

STOP_SECONDS = 1.0
"""For an image that is being computed; then the process ends without it."""

END_SECONDS = 2.5
"""From the signal to the end of the process, whatever hangs."""

THREADS = 4
"""One for images, one for parameters, one for a change of the state, one for the clock and diagnostics."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the node until SIGINT or SIGTERM: exit status 0, or 1 when it cannot start."""
    reuse_memory()
    signals = _Signals()
    # Where other programs use the cores, OpenMP threads that spin for work slow an image down a hundredfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    node = None
    status = 0
    try:
        node = _create(args, signals)
        _autostart(node)
        _spin(node, signals)
    except KeyboardInterrupt:
        pass
    except _StartError as error:
        _fatal(str(error))
        status = 1
    except Exception:
        traceback.print_exc()
        status = 1
    signals.ignore()
    _end(node)
    _leave(status)


class _StartError(Exception):
    """The node cannot start; the message is one line for the user."""


class _Signals:
    """What SIGINT and SIGTERM do, in place of rclpy's handlers.

    Those shut the context down under the threads that still use it. Here nothing is taken away before the node has
    stopped; a second signal changes nothing.
    """

    def __init__(self) -> None:
        self.clean_end = False
        """Whether a signal is to raise KeyboardInterrupt on the main thread; else it ends the process at once."""
        self.wake: Callable[[], object] = lambda: None
        """Makes the main thread return from a wait that no signal interrupts. Called on another thread."""
        for number in _SIGNALS:
            signal.signal(number, self._first)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), name="errseg signals", daemon=True).start()

    def ignore(self) -> None:
        """From here on signals do nothing."""
        for number in _SIGNALS:
            # Not SIG_IGN: Python complains about one that came together with the first.
            signal.signal(number, lambda number, frame: None)

    def _first(self, number: int, frame: FrameType | None) -> NoReturn:
        """On the main thread, between two steps of Python."""
        self.ignore()
        if not self.clean_end:
            _leave(0)
        # The exception may break off a constructor of rclpy's. What that leaves behind would complain: a destructor
        # that finds nothing, a coroutine that was never awaited.
        sys.unraisablehook = lambda unraisable: None
        warnings.simplefilter("ignore")
        raise KeyboardInterrupt

    def _watch(self, reader: int) -> None:
        """Python may be told of a signal late, and an exception may be lost in a library: see to the end."""
        os.read(reader, 1)
        self.wake()
        time.sleep(END_SECONDS)
        _leave(0)


def _create(args: Sequence[str] | None, signals: _Signals) -> SegmentationNode:
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # RCLError, UnknownROSArgsError: a parameter file that is absent or broken
        raise _StartError(f"wrong arguments: {' '.join(str(error).split())}") from None
    from errseg_model.errors import InputError
    from errseg_ros.segmentation_node import SegmentationNode

    signals.clean_end = True  # from here on there is something that other nodes see
    try:
        return SegmentationNode()
    except (InputError, ParameterException) as error:  # the latter: rclpy's own, such as use_sim_time
        raise _StartError(str(error)) from None


def _autostart(node: SegmentationNode) -> None:
    from errseg_model.errors import InputError

    try:
        node.autostart()
    except InputError as error:
        raise _StartError(str(error)) from None


def _spin(node: SegmentationNode, signals: _Signals) -> None:
    from rclpy.executors import MultiThreadedExecutor

    executor = MultiThreadedExecutor(THREADS)
    executor.add_node(node)
    signals.wake = executor.wake
    faults = FaultLog(lambda text: node.get_logger().error(text))
    while True:
        _spin_until_a_fault(executor, faults)


def _spin_until_a_fault(executor: Executor, faults: FaultLog) -> None:
    """A callback that fails ends an executor's spin, such as rclpy's own on a request with an unknown type."""
    try:
        executor.spin()
    except Exception as error:
        faults.report(f"a request or an event was not handled: {type(error).__name__}: {error}")


def _fatal(text: str) -> None:
    import rclpy.logging

    rclpy.logging.get_logger("errseg").fatal(text)


def _end(node: SegmentationNode | None) -> None:
    import rclpy
    from rclpy.impl.logging_severity import LoggingSeverity
    from rclpy.logging import set_logger_level

    if node is not None:
        # What is broken off from here on is no news.
        set_logger_level(node.get_logger().name, LoggingSeverity.FATAL)
        node.stop(STOP_SECONDS)
        node.destroy_node()  # tells other nodes; without it they wait for this one to time out
    rclpy.try_shutdown()


def _leave(status: int) -> NoReturn:
    """End the process at once: Python would wait for threads that compute, and take PyTorch apart."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()

"""`errseg_node`: the process around the node. Starts it, spins it, ends it with exit status 0 on a signal.

ROS and PyTorch take seconds to import, and signals must work before: they are imported where they are needed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from errseg_model.memory import reuse_memory
from errseg_model.openmp import wait_passively
from errseg_ros.fault_log import FaultLog

if TYPE_CHECKING:
    from rclpy.executors import Executor

    from errseg_ros.segmentation_node import SegmentationNode

USAGE = """usage: errseg_node [--ros-args -p NAME:=VALUE ... --params-file FILE -r FROM:=TO ...]

Segments camera images until SIGINT or SIGTERM. All that can be set is a ROS parameter: see config/errseg.param.yaml, or
`ros2 launch errseg_ros errseg.launch.py --show-args`."""

STOP_SECONDS = 1.0
"""For an image or a change that is being computed; then the process ends without it."""

JOIN_SECONDS = 0.25
"""For the executor to return from what it hands out."""

END_SECONDS = 2.5
"""From the signal to the end of the process, whatever hangs."""

THREADS = 4
"""One for images, one for parameters and the clock, one for a change of the state, one for diagnostics."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the node until SIGINT or SIGTERM: exit status 0, or 1 when it cannot start. `args` begin with the program."""
    if {"-h", "--help"} & set((sys.argv if args is None else args)[1:]):
        print(USAGE)
        sys.exit(0)
    reuse_memory()
    wait_passively()
    woken, wake = _signal_pipe()
    ros = _RosThread(args, done=lambda: os.write(wake, b"."))
    ros.start()
    os.read(woken, 1)
    watchdog = threading.Timer(END_SECONDS, lambda: _leave(ros.status))
    watchdog.daemon = True
    watchdog.start()
    ros.end()
    _leave(ros.status)


def _signal_pipe() -> tuple[int, int]:
    """Ends of a pipe, to read from and to write to, into which SIGINT and SIGTERM write a byte.

    That is all they do, in place of rclpy's handlers, which shut the context down under the threads that still use it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: None)
    return reader, writer


class _StartError(Exception):
    """The node cannot start; the message is one line for the user."""


class _RosThread(threading.Thread):
    """All that has to do with ROS. Python handles signals on the main thread, so none breaks off what happens here."""

    def __init__(self, args: Sequence[str] | None, done: Callable[[], object]) -> None:
        """`done` is called when the node could not start."""
        super().__init__(name="errseg ros", daemon=True)
        self.status = 0
        """Exit status of the process."""
        self._args = args
        self._done = done
        self._ending = False
        self._visible = False  # whether there may be something that other nodes see
        self._made: tuple[SegmentationNode, Executor] | None = None

    def run(self) -> None:
        """Until the node could not start, or `end`."""
        with self._fatal_errors():
            node, executor = self._made = self._create()
            # Beside it, so that parameters, the state and /clock are served while the model is loaded.
            threading.Thread(target=self._autostart, args=(node,), name="errseg start", daemon=True).start()
            self._spin(node, executor)

    def end(self) -> None:
        """Leave the middleware. On the main thread."""
        self._ending = True
        if self._visible and self._made is None:
            self.join(STOP_SECONDS)
        if self._made is None:
            return
        node, executor = self._made
        executor.create_task(lambda: None)  # ends a wait
        stopped = node.stop(STOP_SECONDS)
        self.join(JOIN_SECONDS)
        if not stopped:
            _be_silent()
        node.destroy_node()  # tells other nodes; without it they wait for this one to time out

    @contextmanager
    def _fatal_errors(self) -> Iterator[None]:
        """What is raised here is the end of the process, with exit status 1."""
        try:
            yield
        except Exception as error:
            if self._ending:
                return  # what was broken off is no news
            self.status = 1
            if isinstance(error, _StartError):
                _fatal(str(error))
            else:
                traceback.print_exc()
            self._done()

    def _autostart(self, node: SegmentationNode) -> None:
        from errseg_model.errors import InputError

        with self._fatal_errors():
            try:
                node.autostart()
            except InputError as error:
                raise _StartError(str(error)) from None

    def _create(self) -> tuple[SegmentationNode, Executor]:
        import rclpy
        from rclpy.exceptions import ParameterException
        from rclpy.executors import MultiThreadedExecutor
        from rclpy.signals import SignalHandlerOptions
        from rclpy.utilities import remove_ros_args

        try:
            rclpy.init(
                args=None if self._args is None else list(self._args),
                signal_handler_options=SignalHandlerOptions.NO,
            )
        except RuntimeError as error:  # RCLError, UnknownROSArgsError: a parameter file that is absent or broken
            raise _StartError(f"wrong arguments: {' '.join(str(error).split())}") from None
        if unknown := remove_ros_args(self._args)[1:]:
            raise _StartError(f"unknown arguments {' '.join(unknown)}: expected what `errseg_node --help` names")
        from errseg_model.errors import InputError
        from errseg_ros.segmentation_node import SegmentationNode

        self._visible = True
        try:
            node = SegmentationNode()
        except (InputError, ParameterException) as error:  # the latter: rclpy's own, such as use_sim_time
            raise _StartError(str(error)) from None
        executor = MultiThreadedExecutor(THREADS)
        executor.add_node(node)
        return node, executor

    def _spin(self, node: SegmentationNode, executor: Executor) -> None:
        """A callback that fails ends an executor's spin, such as rclpy's own on a request with an unknown type."""
        faults = FaultLog(lambda text: node.get_logger().error(text))
        while not self._ending:
            try:
                executor.spin_once()
            except Exception as error:
                faults.report(f"a request or an event was not handled: {type(error).__name__}: {error}")


def _fatal(text: str) -> None:
    import rclpy.logging

    rclpy.logging.get_logger("errseg").fatal(text)


def _be_silent() -> None:
    """From here on: what is still computed complains that the middleware is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _leave(status: int) -> NoReturn:
    """End the process at once: Python would wait for threads that compute, and take PyTorch apart."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()

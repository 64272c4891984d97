"""Talks to a node of our own: changes its words and listens to its answers, as one ROS node in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import rclpy
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from vision_msgs.msg import LabelInfo

from errseg_ros import qos
from errseg_ros.message_info import with_info
from errseg_ros.node_process import NodeProcess
from errseg_ros.ros_time import SECOND

START_SECONDS = 180.0
ANSWER_SECONDS = 120.0
_ASK_AGAIN_SECONDS = 2.0
_QUEUE = 50  # answers that may wait here


@dataclass
class Request:
    """A change of parameters that was asked for, in nanoseconds of the system's clock."""

    asked_ns: int
    replied_ns: int | None = None
    """None until the reply has come."""
    problem: str = ""
    """Why it was refused."""

    @property
    def reply_ms(self) -> float:
        """From the request to its reply. Raises ValueError before that."""
        if self.replied_ns is None:
            raise ValueError("the request has no reply yet")
        return (self.replied_ns - self.asked_ns) / 1e6

    def take_reply(self, future: Any) -> None:
        """Take the reply of the parameter service."""
        self.replied_ns = time.time_ns()
        if future.exception() is not None:
            self.problem = str(future.exception())
        elif not future.result().result.successful:
            self.problem = future.result().result.reason or "no reason given"


class Client:
    """Talks to a node named errseg. Use it in a `with` block."""

    def __init__(self, watch: NodeProcess) -> None:
        """`watch` is the node's process: waiting ends with NodeError when it ends."""
        self.watch = watch
        self._context = Context()
        # Ctrl-C stays Python's own KeyboardInterrupt.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("errseg_client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._parameters: Any = self.node.create_client(SetParametersAtomically, "errseg/set_parameters_atomically")
        self._has_labels = False
        self.subscribe(LabelInfo, "label_info", self._saw_labels, qos.latched())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def subscribe(
        self, message_type: Any, name: str, callback: Callable[[Any, int], object], profile: QoSProfile | None = None
    ) -> None:
        """Have `callback` called with each message of `~/name` and when it was written, in ns of the system's clock."""

        def receive(message: Any, info: Any) -> None:
            callback(message, info["source_timestamp"])

        if profile is None:
            profile = qos.output()
            profile.depth = _QUEUE
        self.node.create_subscription(message_type, f"errseg/{name}", with_info(receive), profile)

    def change(self, parameters: Mapping[str, Any]) -> Request:
        """Ask for a change of all of these parameters at once; the reply comes while spinning."""
        messages = [Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]
        request = Request(time.time_ns())
        future = self._parameters.call_async(SetParametersAtomically.Request(parameters=messages))
        future.add_done_callback(request.take_reply)
        return request

    def change_and_wait(self, parameters: Mapping[str, Any]) -> Request:
        """Ask for a change and wait for the reply. Raises NodeError when it is refused."""
        request = self.change(parameters)
        self.wait(lambda: request.replied_ns is not None, ANSWER_SECONDS, "the parameter service has not replied")
        if request.problem:
            raise self.watch.error(f"errseg_node refused a change: {request.problem}")
        return request

    def wait_until_ready(self) -> None:
        """Wait for the node's labels, and until its parameter service replies."""
        self.wait(
            lambda: self._has_labels and self._parameters.service_is_ready(),
            START_SECONDS,
            "errseg_node has not published its label_info",
        )
        # DDS drops a reply where the node has not yet discovered who asked, and a service cannot tell: ask for nothing.
        requests = [self.change({})]

        def replied() -> bool:
            if time.time_ns() - requests[-1].asked_ns > _ASK_AGAIN_SECONDS * SECOND:
                requests.append(self.change({}))
            return any(request.replied_ns is not None for request in requests)

        self.wait(replied, ANSWER_SECONDS, "the parameter service has not replied")

    def wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Spin until `done`. Raises NodeError with `what` when that takes too long, or when the node ends."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise self.watch.error(f"{what} within {seconds:.0f} s")
            self.spin_once(0.05)

    def spin(self, seconds: float) -> None:
        """Take what comes for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.spin_once(min(left, 0.05))

    def spin_once(self, seconds: float) -> None:
        """Take one thing that comes, if one does within this time."""
        self._executor.spin_once(timeout_sec=seconds)
        self.watch.check()

    def _saw_labels(self, message: LabelInfo, written_ns: int) -> None:
        self._has_labels = True

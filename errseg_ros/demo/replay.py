"""Shows images to a running `errseg_node`, changes its vocabulary and collects its answers, over ROS 2."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rclpy
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm
from vision_msgs.msg import Classification, LabelInfo, VisionInfo

from errseg_model.vocabulary import Vocabulary
from errseg_ros import qos
from errseg_ros.demo.frames import Frame, Source
from errseg_ros.demo.recording import Change, Inbox, Recording, ReplayError
from errseg_ros.image_messages import image_message
from errseg_ros.node_process import NodeProcess
from errseg_ros.ros_time import SECOND

_START_SECONDS = 180.0
_ANSWER_SECONDS = 60.0
_LOST_SECONDS = 5.0  # an image may be lost on its way: it is best effort
_QUEUE = 10  # masks that may wait here while an image is published


class Camera:
    """A ROS node that stands for a camera and for whoever wants its masks. Use it in a `with` block."""

    def __init__(self, watch: NodeProcess) -> None:
        """`watch` is the node's process: waiting ends with NodeError when it ends."""
        self._watch = watch
        self._inbox = Inbox()
        self._context = Context()
        # Ctrl-C stays Python's own KeyboardInterrupt.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("errseg_demo", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._images = self._node.create_publisher(Image, "camera/image", qos.image_input())
        several = qos.output()
        several.depth = _QUEUE
        listen: list[tuple[Any, str, Callable[[Any], None], QoSProfile]] = [
            (Image, "errseg/camera/mask", self._inbox.add_mask, several),
            (Image, "errseg/camera/confidence", self._inbox.add_confidence, several),
            (Classification, "errseg/camera/class_scores", self._inbox.add_scores, several),
            (LabelInfo, "errseg/label_info", self._inbox.labels.append, qos.latched()),
            (VisionInfo, "errseg/vocabulary_info", self._inbox.add_version, qos.latched()),
        ]
        for message_type, topic, callback, profile in listen:
            self._node.create_subscription(message_type, topic, callback, profile)
        self._parameters: Any = self._node.create_client(SetParameters, "errseg/set_parameters")

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait_until_ready(self) -> None:
        """Wait for the node's labels and until it listens. Raises NodeError when it takes over 180 s or ends."""
        self._wait(
            lambda: (
                bool(self._inbox.labels and self._inbox.versions)
                and self._images.get_subscription_count() > 0
                and self._parameters.service_is_ready()
            ),
            _START_SECONDS,
            "errseg_node has not published its label_info",
        )

    def replay(self, source: Source, before: Vocabulary, after: Vocabulary) -> Recording:
        """Show all frames at their times; ask for `after` half way; wait for the last answer.

        The change waits for a first mask under `before`. A frame that is lost on its way at these two points is
        shown again, and so is the last one when it was answered before the change was in force.

        Raises:
            ReplayError: the change is refused, or a mask is not what its labels say.
            NodeError: the node ended, or gave no answer for 60 s.
            InputError: a frame cannot be read.
        """
        half = max(len(source.stamps) // 2, 1)
        change: Change | None = None
        shown: Frame | None = None
        started = time.monotonic_ns()
        with tqdm(total=len(source.stamps), desc="  replay", unit=" images", disable=None, ncols=80) as bar:
            for number, frame in enumerate(self._read(source.frames())):
                if number == half and shown is not None:
                    began = time.monotonic_ns()
                    self._show_until_answered(number - 1, shown, before, any_frame=True)
                    started += time.monotonic_ns() - began
                    change = self._ask_for(after)
                self._spin_until(started + frame.stamp_ns)
                self._show(number, frame)
                shown = frame
                bar.set_postfix_str(f"masks {self._inbox.count}", refresh=False)
                bar.update()
        if shown is None:
            raise ReplayError(f"source {source.name} gave no frames")
        last = len(source.stamps) - 1
        if change is None:
            self._show_until_answered(last, shown, before, any_frame=True)
            change = self._ask_for(after)
        self._wait(lambda: change.reply_ns > 0, _ANSWER_SECONDS, "the parameter service has not replied")
        change.check()
        self._show_until_answered(last, shown, after)
        return self._inbox.recording(before, after, change)

    def _read(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, read on another thread: answers are to be received in the meantime."""
        with ThreadPoolExecutor(1) as reader:
            while True:
                coming = reader.submit(next, frames, None)
                while not coming.done():
                    self._spin(0.01)
                frame = coming.result()
                if frame is None:
                    return
                yield frame

    def _show(self, number: int, frame: Frame) -> None:
        header = Header(frame_id="camera")
        stamp = time.time_ns()
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, SECOND)
        message = image_message(header, frame.image)
        self._inbox.add_sent(stamp, number, (message.height, message.width))
        self._images.publish(message)

    def _show_until_answered(
        self, number: int, frame: Frame, vocabulary: Vocabulary, *, any_frame: bool = False
    ) -> None:
        """Wait for a mask of the frame just shown, or of any, under the vocabulary.

        The frame is shown again when it is lost, or answered under another vocabulary.
        """
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not self._inbox.has(vocabulary, None if any_frame else number):
            if time.monotonic() > deadline:
                words = ", ".join(vocabulary.names)
                raise self._watch.error(f"no mask has come within {_ANSWER_SECONDS:.0f} s under: {words}")
            last = max(self._inbox.sent)
            if self._inbox.is_answered(last) or time.time_ns() - last > _LOST_SECONDS * SECOND:
                self._show(number, frame)
            self._spin(0.05)

    def _ask_for(self, vocabulary: Vocabulary) -> Change:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=vocabulary.to_strings())
        change = Change(time.time_ns())
        request = SetParameters.Request(parameters=[Parameter(name="vocabulary", value=value)])
        self._parameters.call_async(request).add_done_callback(change.replied)
        return change

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise self._watch.error(f"{what} within {seconds:.0f} s")
            self._spin(0.05)

    def _spin_until(self, moment_ns: int) -> None:
        while (left := moment_ns - time.monotonic_ns()) > 0:
            self._spin(min(left / SECOND, 0.05))

    def _spin(self, seconds: float) -> None:
        self._executor.spin_once(timeout_sec=seconds)
        self._watch.check()

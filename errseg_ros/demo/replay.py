"""Shows images to a running `errseg_node`, changes its vocabulary and collects its answers, over ROS 2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm
from vision_msgs.msg import Classification, LabelInfo, VisionInfo

from errseg_model.vocabulary import Vocabulary
from errseg_ros import qos
from errseg_ros.client import Client, Request
from errseg_ros.demo.frames import Frame, Source
from errseg_ros.demo.recording import Inbox, Recording, ReplayError
from errseg_ros.image_messages import image_message
from errseg_ros.ros_time import SECOND

_ANSWER_SECONDS = 60.0
_LOST_SECONDS = 5.0  # an image may be lost on its way: it is best effort


class Camera:
    """Stands for a camera and for whoever wants its masks."""

    def __init__(self, client: Client) -> None:
        """`client` talks to the node."""
        self._client = client
        self._inbox = Inbox()
        self._images = client.node.create_publisher(Image, "camera/image", qos.image_input())
        answers, labels, versions = self._inbox.answers, self._inbox.labels, self._inbox.versions
        client.subscribe(Image, "camera/mask", lambda mask, _: answers.add_mask(mask, time.time_ns()))
        client.subscribe(Image, "camera/confidence", lambda image, _: answers.add_confidence(image))
        client.subscribe(Classification, "camera/class_scores", lambda scores, _: answers.add_scores(scores))
        client.subscribe(LabelInfo, "label_info", lambda message, _: labels.append(message), qos.latched())
        client.subscribe(
            VisionInfo, "vocabulary_info", lambda message, _: versions.append(message.database_version), qos.latched()
        )

    def wait_until_ready(self) -> None:
        """Wait for the node's labels and until it listens. Raises NodeError when it takes too long, or ends."""
        self._client.wait_until_ready()
        self._client.wait(
            lambda: bool(self._inbox.labels and self._inbox.versions) and self._images.get_subscription_count() > 0,
            _ANSWER_SECONDS,
            "errseg_node has not published its vocabulary_info, or does not listen to images",
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
        change: Request | None = None
        shown: Frame | None = None
        started = time.monotonic_ns()
        with tqdm(total=len(source.stamps), desc="  replay", unit=" images", disable=None, ncols=80) as bar:
            for number, frame in enumerate(self._read(source.frames())):
                if number == half and shown is not None:
                    began = time.monotonic_ns()
                    self._show_until_answered(number - 1, shown, before, any_frame=True)
                    started += time.monotonic_ns() - began
                    change = self._ask_for(after)
                self._client.spin((started + frame.stamp_ns - time.monotonic_ns()) / SECOND)
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
        self._client.wait(
            lambda: change.replied_ns is not None, _ANSWER_SECONDS, "the parameter service has not replied"
        )
        if change.problem:
            raise ReplayError(f"errseg_node refused the new vocabulary: {change.problem}")
        self._show_until_answered(last, shown, after)
        return self._inbox.recording(before, after, change)

    def _read(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, read on another thread: answers are to be received in the meantime."""
        with ThreadPoolExecutor(1) as reader:
            while True:
                coming = reader.submit(next, frames, None)
                while not coming.done():
                    self._client.spin_once(0.01)
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
                raise self._client.watch.error(f"no mask has come within {_ANSWER_SECONDS:.0f} s under: {words}")
            last = max(self._inbox.sent)
            if self._inbox.is_answered(last) or time.time_ns() - last > _LOST_SECONDS * SECOND:
                self._show(number, frame)
            self._client.spin_once(0.05)

    def _ask_for(self, vocabulary: Vocabulary) -> Request:
        return self._client.change({"vocabulary": vocabulary.to_strings()})

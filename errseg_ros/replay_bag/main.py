"""`replay_bag`: publishes a rosbag2's topics at their recorded times, as `ros2 bag play` does where there is one."""

from __future__ import annotations

import argparse
import heapq
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from errseg_model.errors import InputError
from errseg_ros.bags import BagReader
from errseg_ros.replay_bag.player import Pace, Player
from errseg_ros.replay_bag.progress import Progress
from errseg_ros.replay_bag.read_ahead import Message, ReadAhead
from errseg_ros.replay_bag.topics import CLOCK, Publishers, choose_topics, message_class
from errseg_ros.ros_time import SECOND

CLOCK_HZ = 40.0
_SWITCH_SECONDS = 0.0005  # the thread that reads gives way to the one that sends
_LOOK_SECONDS = 0.1
_SLOWEST, _FASTEST = 0.1, 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Play. Returns 0 at the end and after SIGINT or SIGTERM; 2 for wrong input, with one line."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        _run(options)
    except InputError as error:
        print(f"replay_bag: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("replay_bag: interrupted before the first message", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="replay_bag", description=__doc__)
    parser.add_argument(
        "bags",
        nargs="+",
        type=Path,
        metavar="BAG",
        help="folder of a rosbag2, or its .mcap or .db3 file; several are played together, by their times",
    )
    parser.add_argument(
        "-r",
        "--rate",
        type=_number(_SLOWEST, _FASTEST),
        default=1.0,
        metavar="R",
        help=f"times as fast as recorded, {_SLOWEST:g} to {_FASTEST:g} (default: 1)",
    )
    parser.add_argument("-l", "--loop", action="store_true", help="start again at the end, until Ctrl-C")
    parser.add_argument(
        "--clock",
        type=_number(0.1, 10_000),
        nargs="?",
        const=CLOCK_HZ,
        default=0.0,
        metavar="HZ",
        help=f"publish the time of the bag on {CLOCK}, {CLOCK_HZ:g} times a second or HZ",
    )
    parser.add_argument("--topics", nargs="+", default=[], metavar="T", help="topics to play (default: all)")
    parser.add_argument(
        "-m",
        "--remap",
        nargs="+",
        type=_rule,
        action="extend",
        default=[],
        metavar="FROM:=TO",
        help="publish topic FROM of the bag as TO",
    )
    parser.add_argument(
        "-d",
        "--delay",
        type=_number(0, 1e6),
        default=0.0,
        metavar="S",
        help="wait S seconds before the first message, of each loop; subscribers find the topics meanwhile",
    )
    parser.add_argument(
        "--wait-for-subscribers", action="store_true", help="wait until somebody listens to every topic that is played"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        bags = [stack.enter_context(BagReader(path)) for path in options.bags]
        own_clock = options.clock > 0
        topics = choose_topics([bag.topics for bag in bags], options.topics, dict(options.remap), own_clock, _warn)
        told = _tell_problems(bags, frozenset())
        node = stack.enter_context(_node())
        publishers = Publishers(node, topics)
        if options.wait_for_subscribers:
            _wait_for_subscribers(publishers)
        progress = stack.enter_context(Progress(sum(topic.count for topic in topics)))
        pace = Pace(options.rate, options.delay, options.clock)
        player = Player(publishers.send, _clock(node) if own_clock else lambda _: None, pace, progress.add)
        # ros2 bag play starts with the bag, not with the first message that is played of it.
        start_ns = min((bag.start_ns for bag in bags if bag.start_ns is not None), default=0)
        names = [topic.recorded for topic in topics]
        try:
            while True:
                progress.begin()
                with ReadAhead(_messages(bags, names)) as messages:
                    player.play(messages, start_ns)
                told = _tell_problems(bags, told)
                if not options.loop:
                    break
            publishers.finish()
        except KeyboardInterrupt:
            progress.interrupt()
    lateness = player.lateness
    print(
        f"{progress.summary(len(topics))}; late by {lateness.percentile_ms(50):.1f} ms median, "
        f"{lateness.percentile_ms(99):.1f} ms 99th percentile, {lateness.worst_ns / 1e6:.1f} ms at most"
    )


def _messages(bags: Sequence[BagReader], topics: Sequence[str]) -> Iterator[Message]:
    """Of all bags in the order of their times. Opens them where it is gone through: SQLite stays on one thread."""
    # A topic may be in some of the bags only.
    yield from heapq.merge(
        *(bag.messages([name for name in topics if name in bag.topics]) for bag in bags),
        key=lambda message: message.time_ns,
    )


def _wait_for_subscribers(publishers: Publishers) -> None:
    told: list[str] = []
    while (unheard := publishers.unheard()) != []:
        if unheard != told:
            print(f"waiting for subscribers to {', '.join(unheard)}", flush=True)
            told = unheard
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _node() -> Iterator[Node]:
    context = Context()
    # Signals stay ours: the summary comes after them.
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("replay_bag", context=context, start_parameter_services=False)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _clock(node: Node) -> Callable[[int], None]:
    """Publishes a time in nanoseconds."""
    message_type = message_class("rosgraph_msgs/msg/Clock")
    publisher = node.create_publisher(message_type, CLOCK, 1)
    message = message_type()

    def tell(time_ns: int) -> None:
        message.clock.sec, message.clock.nanosec = divmod(time_ns, SECOND)
        publisher.publish(message)

    return tell


def _tell_problems(bags: Sequence[BagReader], told: frozenset[str]) -> frozenset[str]:
    """Warn of what cannot be read, once. Returns what has been told."""
    problems = [f"{bag.path}: {problem}" for bag in bags for problem in bag.problems]
    for problem in problems:
        if problem not in told:
            _warn(problem)
    return told.union(problems)


def _warn(line: str) -> None:
    print(f"replay_bag: warning: {line}", file=sys.stderr)


def _number(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"expected a number from {lowest:g} to {highest:g}, got {text!r}")
        return value

    return parse


def _rule(text: str) -> tuple[str, str]:
    recorded, separator, name = text.partition(":=")
    if not (recorded and separator and name):
        raise argparse.ArgumentTypeError(f"expected FROM:=TO such as /camera/image:=/front/image, got {text!r}")
    return recorded, name


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break into the clean end.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

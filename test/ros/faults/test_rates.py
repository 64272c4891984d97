"""Too many images, cameras that come and go, and readers that do not read, over real DDS."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

MASK, DIAGNOSTICS = "/errseg/camera/mask", "/diagnostics"
SETTINGS = {"input_size": "[64, 64]", "vocabulary": "[road, sky]", "device": "cpu"}
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
VOLATILE, LATCHED = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    """One node for all tests of this module."""
    with start_node(**SETTINGS) as node:
        node.wait_for_log("ready")
        yield node


def counts(client: Any) -> dict[str, int]:
    """What became of the camera's images, in the last report."""
    (status,) = (s for s in client.received[DIAGNOSTICS][-1].message.status if s.name == "errseg: camera")
    return {
        pair.key: int(pair.value)
        for pair in status.values
        if pair.key in ("received", "answered") or pair.key.startswith("dropped")
    }


def settled_counts(client: Any) -> dict[str, int]:
    """The counts when nothing waits and nothing is in work any more."""

    def next_report() -> dict[str, int]:
        client.received[DIAGNOSTICS].clear()
        client.wait_until(lambda: client.received[DIAGNOSTICS], "diagnostics")
        return counts(client)

    last = next_report()
    while (now := next_report()) != last:
        last = now
    return now


@pytest.mark.timeout(400)
def test_200_images_a_second_for_a_minute(node: Any, client: Any, beside: Any, watch: Any) -> None:
    """The newest wins, what is dropped is counted, and nothing piles up."""
    client.subscribe(Image, MASK)
    client.subscribe(DiagnosticArray, DIAGNOSTICS)
    before = settled_counts(client)
    seen = watch(node)
    memory: list[int] = []
    reports: list[dict[str, int]] = []
    with beside("image_sender.py", "/camera/image", 200, 200 * 60, 128, 96, "front") as sender:
        while sender.poll() is None:
            client.spin(1)
            memory.append(seen.memory)
            if client.received[DIAGNOSTICS]:
                reports.append(counts(client))
                client.received[DIAGNOSTICS].clear()
        assert sender.communicate()[0].split() == ["12000"]
    after = settled_counts(client)
    grown = {name: after[name] - before[name] for name in after}
    masks = client.received[MASK]
    ages = sorted((mask.written - mask.stamp) / 1e9 for mask in masks)
    print(f"{grown}, age of a mask: median {statistics.median(ages):.3f} s, worst {ages[-1]:.3f} s")
    print(f"memory in MiB: {[round(each / 2**20, 1) for each in memory[:: max(1, len(memory) // 10)]]}")

    replaced = "dropped: replaced by a newer one"
    assert grown["received"] == grown["answered"] + grown[replaced]
    assert grown[replaced] > 0 and grown["answered"] >= 60, grown
    assert reports
    for report in reports:  # one may wait, and one may be in work
        assert 0 <= report["received"] - report["answered"] - sum(v for k, v in report.items() if "dropped" in k) <= 2
    assert len(masks) > grown["answered"] // 2
    stamps = [mask.stamp for mask in masks]
    assert stamps == sorted(set(stamps))
    # A queue of what was dropped would make the last masks older by seconds and more.
    assert statistics.median(ages) < 1 and statistics.median(ages[-60:]) < 10
    seen.assert_alive()
    assert seen.lines == []
    # 440 MB of images went through; what allocators and threads keep for themselves comes in the first seconds.
    assert memory[-1] - memory[len(memory) // 6] < 8 << 20, memory


@contextmanager
def reader_that_is_not_spun(client: Any, beside: Any, profile: QoSProfile) -> Iterator[None]:
    """A subscription whose callback is never called."""
    node = rclpy.create_node("lazy", context=client.node.context)
    node.create_subscription(Image, MASK, lambda message: None, profile)
    yield
    node.destroy_node()


@contextmanager
def reader_that_is_stopped(client: Any, beside: Any, profile: None) -> Iterator[None]:
    """A process that has read one mask and then answers nobody, not even for the middleware."""
    with beside("mask_listener.py", MASK) as listener:
        assert listener.stdout.readline().strip() == "a mask"
        listener.send_signal(signal.SIGSTOP)
        yield
        listener.send_signal(signal.SIGCONT)


def all_of(reliability: ReliabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=reliability)


@pytest.mark.parametrize(
    ("reader", "profile"),
    [
        pytest.param(reader_that_is_not_spun, QoSProfile(depth=1, reliability=RELIABLE), id="reliable, depth 1"),
        pytest.param(reader_that_is_not_spun, all_of(RELIABLE), id="reliable, keeps all"),
        pytest.param(reader_that_is_stopped, None, id="reliable, its process stopped"),
    ],
)
def test_a_reader_that_does_not_read_delays_nobody(
    node: Any, client: Any, beside: Any, watch: Any, reader: Callable[..., Any], profile: QoSProfile | None
) -> None:
    client.subscribe(Image, MASK)
    client.subscribe(DiagnosticArray, DIAGNOSTICS)
    seen = watch(node)
    with beside("image_sender.py", "/camera/image", 20, 10**6, 640, 480, "front"):

        def masks(seconds: float) -> int:
            client.spin(2)
            client.received[MASK].clear()
            client.spin(seconds)
            return len(client.received[MASK])

        client.wait_until(lambda: client.received[MASK], "masks")
        without = masks(5)
        with reader(client, beside, profile):
            beside_it, memory = masks(5), seen.memory
            publish = stage(client, "publish worst (ms)")
            later = masks(5)
            print(
                f"masks a second: {without / 5:.1f} without, {beside_it / 5:.1f} and {later / 5:.1f} with it; {publish}"
            )
            # Where writing waits for a reader it takes 100 ms, and of 20 images a second hardly 5 are answered.
            assert min(beside_it, later) > without / 2
            assert seen.memory - memory < 12 << 20  # 40 masks
    seen.assert_alive()
    assert seen.lines == []


def stage(client: Any, name: str) -> str:
    (status,) = (s for s in client.received[DIAGNOSTICS][-1].message.status if s.name == "errseg: camera")
    return next(f"{pair.key} {pair.value}" for pair in status.values if pair.key == name)


def of_frame(client: Any, frame_id: str) -> list[Any]:
    """Masks of images with this frame."""
    return [received for received in client.received[MASK] if received.message.header.frame_id == frame_id]


def test_a_camera_that_is_killed_and_comes_back_is_answered(node: Any, client: Any, beside: Any, watch: Any) -> None:
    client.subscribe(Image, MASK)
    seen = watch(node)
    memory = []
    for number in range(5):
        with beside("image_sender.py", "/camera/image", 30, 10**6, 640, 480, f"life {number}") as camera:
            of_this_life = partial(of_frame, client, f"life {number}")
            client.wait_until(lambda masks=of_this_life: len(masks()) > 10, "masks", 60)
            camera.send_signal(signal.SIGKILL)
        memory.append(seen.memory)
    seen.assert_alive()
    assert seen.lines == []
    assert memory[-1] - memory[1] < 12 << 20, memory


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(QoSProfile(depth=1, reliability=BEST_EFFORT), id="best effort"),
        pytest.param(QoSProfile(depth=10, reliability=RELIABLE, durability=LATCHED), id="reliable and latched"),
        pytest.param(QoSProfile(depth=1, reliability=BEST_EFFORT, durability=LATCHED), id="best effort and latched"),
        pytest.param(all_of(RELIABLE), id="reliable, keeps all"),
    ],
)
def test_a_camera_of_any_quality_of_service_is_heard(
    node: Any, client: Any, image: Any, watch: Any, profile: QoSProfile
) -> None:
    client.subscribe(Image, MASK)
    seen = watch(node)
    publisher = client.node.create_publisher(Image, "/camera/image", profile)
    client.answer(publisher, image(), MASK)
    assert seen.lines == []


def test_a_reader_that_wants_more_than_is_offered_gets_nothing_and_disturbs_nobody(
    node: Any, client: Any, image: Any, watch: Any
) -> None:
    client.subscribe(Image, MASK)
    seen = watch(node)
    late: list[Image] = []
    client.node.create_subscription(Image, MASK, late.append, QoSProfile(depth=1, durability=LATCHED))
    publisher = client.publisher("/camera/image")
    for _ in range(3):
        client.answer(publisher, image(), MASK)
    assert not late and seen.lines == []


def test_two_cameras_on_one_topic_are_both_answered_with_their_own_frames(
    node: Any, client: Any, beside: Any, watch: Any
) -> None:
    client.subscribe(Image, MASK)
    seen = watch(node)
    sizes = {"left": (640, 480), "right": (320, 200)}
    of = partial(of_frame, client)
    with (
        beside("image_sender.py", "/camera/image", 10, 10**6, *sizes["left"], "left"),
        beside("image_sender.py", "/camera/image", 7, 10**6, *sizes["right"], "right"),
    ):
        client.wait_until(lambda: min(len(of("left")), len(of("right"))) > 10, "masks of both", 90)
    for frame, size in sizes.items():
        assert {(r.message.width, r.message.height) for r in of(frame)} == {size}
    assert len(of("left")) + len(of("right")) == len(client.received[MASK])
    assert seen.lines == []


def test_a_bag_that_is_played_again_and_again_is_answered_every_time(
    running_node: Any, ros_module_environment: Any, tmp_path: Any, client: Any, image: Any, watch: Any
) -> None:
    """Its clock jumps back at every start, and with it the stamps."""
    arguments = ["-r", "__node:=simulated", "-p", "use_sim_time:=true", "-p", "cameras:=[bag]"]
    parameters = [part for name, value in SETTINGS.items() for part in ("-p", f"{name}:={value}")]
    mask = "/simulated/bag/mask"
    with running_node(ros_module_environment, tmp_path, *arguments, *parameters) as node:
        node.wait_for_log("ready")
        client.subscribe(Image, mask)
        client.subscribe(DiagnosticArray, DIAGNOSTICS)
        seen = watch(node)
        publisher, clock = client.publisher("/bag/image"), client.publisher("/clock", Clock)
        for _ in range(3):
            client.received[mask].clear()
            client.received[DIAGNOSTICS].clear()
            for tick in range(60):
                now = Clock()
                now.clock.sec, now.clock.nanosec = divmod(1000 * 10**9 + tick * 50_000_000, 10**9)
                clock.publish(now)
                message = image()
                message.header.stamp = now.clock
                publisher.publish(message)
                client.spin(0.05)
            stamps = [r.stamp for r in client.received[mask]]
            assert len(stamps) > 10 and all(1000 * 10**9 <= stamp < 1003 * 10**9 for stamp in stamps)
            own = [r for r in client.received[DIAGNOSTICS] if r.message.status[0].name == "simulated"]
            assert own and all(1000 <= r.message.header.stamp.sec < 1003 for r in own)
            values = {pair.key: float(pair.value) for pair in own[-1].message.status[1].values}
            assert abs(values["latency mean (ms)"]) < 3000  # the length of the bag, not days
        seen.assert_alive()
        assert seen.lines == []

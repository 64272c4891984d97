"""The parts of replay_bag: what is late, what is read ahead, when what is sent, under which quality of service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from errseg_model.errors import InputError
from errseg_ros.bags import BagTopic
from errseg_ros.replay_bag.lateness import Lateness
from errseg_ros.replay_bag.offers import offer
from errseg_ros.replay_bag.player import Pace, Player
from errseg_ros.replay_bag.read_ahead import ReadAhead
from errseg_ros.replay_bag.topics import choose_topics, message_class

MS = 1_000_000
IMAGE = "sensor_msgs/msg/Image"
FOR_EVER = QosTime(9223372036, 854775807)
RECORDED = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    FOR_EVER,
    FOR_EVER,
    QosLiveliness.AUTOMATIC,
    FOR_EVER,
    False,
)


@dataclass(frozen=True)
class Sent:
    """A message of a bag."""

    topic: str
    time_ns: int
    data: bytes = b"data"


def messages(*milliseconds: int, size: int = 4) -> list[Sent]:
    return [Sent("/t", ms * MS, bytes(size)) for ms in milliseconds]


class TestLateness:
    def test_percentiles_are_at_most_five_percent_too_high(self) -> None:
        lateness = Lateness()
        for microseconds in range(1, 10_001):
            lateness.add(microseconds * 1000)
        for percent in (10, 50, 90, 99):
            assert percent / 10 <= lateness.percentile_ms(percent) <= percent / 10 * 1.06
        assert lateness.worst_ns == 10_000_000

    def test_a_message_that_is_early_is_not_late(self) -> None:
        lateness = Lateness()
        lateness.add(-5)
        assert (lateness.count, lateness.worst_ns, lateness.percentile_ms(99)) == (1, 0, 0)

    def test_without_messages_nothing_is_late(self) -> None:
        assert Lateness().percentile_ms(50) == 0

    @pytest.mark.parametrize("seconds", [300, 3600, 86400, 10**6])
    def test_delays_of_hours_and_days_have_their_place(self, seconds: int) -> None:
        lateness = Lateness()
        for late in (seconds, 2 * 10**6):
            lateness.add(late * 10**9)
        expected = (seconds if seconds < 400_000 else 2 * 10**6) * 1000  # days are as late as the worst
        assert expected <= lateness.percentile_ms(50) <= expected * 1.06


class TestReadAhead:
    def test_messages_come_in_their_order_and_then_none(self) -> None:
        sent = messages(*range(100))
        with ReadAhead(sent) as ahead:
            assert [ahead.next() for _ in sent] == sent
            assert ahead.next() is None

    def test_what_waits_stays_within_the_limit(self) -> None:
        taken: list[int] = []

        def read() -> Iterator[Sent]:
            for number, message in enumerate(messages(*range(50), size=1000)):
                taken.append(number)
                yield message

        with ReadAhead(read(), limit=5000) as ahead:
            ahead.fill()
            time.sleep(0.1)
            assert len(taken) == 6  # five wait, the sixth has no room
            assert sum(1 for _ in iter(ahead.next, None)) == 50

    def test_a_message_larger_than_the_limit_passes(self) -> None:
        with ReadAhead(messages(1, 2, 3, size=1000), limit=10) as ahead:
            assert [m.time_ns for m in iter(ahead.next, None)] == [MS, 2 * MS, 3 * MS]

    def test_what_fails_in_reading_is_raised_after_what_was_read(self) -> None:
        def read() -> Iterator[Sent]:
            yield from messages(1)
            raise InputError("the bag is gone")

        with ReadAhead(read()) as ahead:
            assert ahead.next() is not None
            with pytest.raises(InputError, match="the bag is gone"):
                ahead.next()

    def test_waiting_for_a_slow_bag_can_end(self) -> None:
        go_on = threading.Event()

        def read() -> Iterator[Sent]:
            go_on.wait(10)
            yield from messages(1)

        with ReadAhead(read()) as ahead:
            with pytest.raises(TimeoutError):
                ahead.next(0.01)
            go_on.set()
            assert ahead.next(10) is not None

    def test_leaving_ends_the_reading(self) -> None:
        closed = threading.Event()

        def read() -> Iterator[Sent]:
            try:
                while True:
                    yield from messages(1, size=1000)
            finally:
                closed.set()

        with ReadAhead(read(), limit=5000) as ahead:
            ahead.next()
        assert closed.wait(5)


class SteppedClock:
    """Time that passes only where somebody waits, in nanoseconds from 0 on."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000 * MS)


class SlowBag:
    """In place of a `ReadAhead`: messages that have been read by their moments on the clock, in milliseconds."""

    def __init__(self, clock: SteppedClock, sent: dict[int, Sent]) -> None:
        self._clock = clock
        self._sent = list(sent.items())

    def fill(self) -> None:
        pass

    def next(self, timeout: float | None = None) -> Sent | None:
        if not self._sent:
            return None
        ready = self._sent[0][0] * MS
        if timeout is not None and self._clock.now + timeout * 1000 * MS < ready:
            self._clock.sleep(timeout)
            raise TimeoutError
        self._clock.now = max(self._clock.now, ready)
        return self._sent.pop(0)[1]


class TestPlayer:
    def play(
        self, pace: Pace, sent: list[Sent], start_ns: int = 0, first_takes: float = 0.0
    ) -> tuple[Player, list[float], list[tuple[float, float]]]:
        """The player; milliseconds from the start at which messages were sent; and those, with the time that was told.

        Sending the first message takes so many seconds.
        """
        clock = SteppedClock()
        moments: list[float] = []
        ticks: list[tuple[float, float]] = []
        reported: list[None] = []

        def send(data: bytes) -> None:
            moments.append(clock.now / MS)
            if len(moments) == 1:
                clock.sleep(first_takes)

        def tell(now: int) -> None:
            ticks.append((clock.now / MS, now / MS))

        player = Player({"/t": send}, tell, pace, lambda: reported.append(None), clock, clock.sleep)
        with ReadAhead(sent) as ahead:
            player.play(ahead, start_ns)
        assert len(reported) == len(sent) == player.lateness.count
        return player, moments, ticks

    @pytest.mark.parametrize(("rate", "expected"), [(1.0, [100, 200, 400]), (2.0, [50, 100, 200])])
    def test_messages_are_sent_at_their_times(self, rate: float, expected: list[float]) -> None:
        player, moments, ticks = self.play(Pace(rate), messages(100, 200, 400))
        assert (moments, ticks, player.lateness.worst_ns) == (expected, [], 0)

    def test_without_another_clock_it_is_the_machine_s(self) -> None:
        moments: list[float] = []
        begin = time.monotonic()
        player = Player({"/t": lambda data: moments.append(time.monotonic())}, pytest.fail, Pace(), lambda: None)
        with ReadAhead(messages(100, 200)) as ahead:
            player.play(ahead, 0)
        assert moments[0] - begin >= 0.1 and moments[1] - begin >= 0.2

    def test_time_starts_with_the_bag_and_not_with_the_first_message(self) -> None:
        _, moments, _ = self.play(Pace(), messages(1300), start_ns=1000 * MS)
        assert moments == [300]

    def test_the_delay_comes_first(self) -> None:
        _, moments, ticks = self.play(Pace(delay=0.3, clock_hz=40), messages(0))
        assert (moments, ticks) == ([300], [(300, 0)])

    def test_a_late_message_is_sent_at_once_and_does_not_shift_the_others(self) -> None:
        player, moments, _ = self.play(Pace(), messages(0, 50, 100, 2500), first_takes=0.2)
        assert moments == [0, 200, 200, 2500]
        assert player.lateness.worst_ns == 150 * MS

    def test_the_clock_tells_the_time_of_the_bag_at_the_rate(self) -> None:
        _, moments, ticks = self.play(Pace(rate=2.0, clock_hz=50), messages(1000, 2000), start_ns=1000 * MS)
        assert moments == [0, 500]
        assert ticks == [(20 * number, 1000 + 40 * number) for number in range(26)]

    def test_ticks_that_were_missed_are_not_made_up_for(self) -> None:
        _, _, ticks = self.play(Pace(clock_hz=40), messages(0, 80), first_takes=0.06)
        assert ticks == [(0, 0), (60, 60), (75, 75)]

    def test_the_clock_goes_on_while_the_bag_has_nothing_to_say(self) -> None:
        clock = SteppedClock()
        ticks: list[float] = []
        player = Player(
            {"/t": lambda data: None},
            lambda now: ticks.append(now / MS),
            Pace(clock_hz=40),
            lambda: None,
            clock,
            clock.sleep,
        )
        first, second = messages(0, 1)
        player.play(SlowBag(clock, {0: first, 110: second}), 0)  # type: ignore[arg-type]
        assert ticks == [0, 25, 50, 75, 100]
        assert player.lateness.worst_ns == 109 * MS


class TestOffers:
    def test_a_profile_is_offered_as_it_was_recorded(self) -> None:
        profile = offer(
            [
                RECORDED._replace(
                    reliability=QosReliability.BEST_EFFORT,
                    durability=QosDurability.TRANSIENT_LOCAL,
                    deadline=QosTime(0, 200),
                    liveliness=QosLiveliness.MANUAL_BY_TOPIC,
                )
            ]
        )
        assert profile.reliability == ReliabilityPolicy.BEST_EFFORT
        assert profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert (profile.history, profile.depth) == (HistoryPolicy.KEEP_LAST, 5)
        assert profile.deadline == Duration(nanoseconds=200)
        assert profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC

    def test_without_any_it_is_reliable_volatile_and_ten_deep(self) -> None:
        profile = offer([])
        assert (profile.reliability, profile.durability) == (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
        assert (profile.history, profile.depth) == (HistoryPolicy.KEEP_LAST, 10)

    def test_of_several_the_most_is_offered(self) -> None:
        profile = offer(
            [
                RECORDED._replace(reliability=QosReliability.BEST_EFFORT, deadline=QosTime(1, 0)),
                RECORDED._replace(durability=QosDurability.TRANSIENT_LOCAL, depth=1),
            ]
        )
        assert profile.reliability == ReliabilityPolicy.RELIABLE
        assert profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert profile.depth == 6
        assert profile.deadline == offer([]).deadline

    @pytest.mark.parametrize("history", [QosHistory.UNKNOWN, QosHistory.SYSTEM_DEFAULT])
    def test_a_history_that_the_recorder_could_not_see_is_ten_deep(self, history: QosHistory) -> None:
        assert offer([RECORDED._replace(history=history, depth=0)]).depth == 10

    def test_a_history_of_everything_stays_one(self) -> None:
        assert offer([RECORDED._replace(history=QosHistory.KEEP_ALL)]).history == HistoryPolicy.KEEP_ALL

    @pytest.mark.parametrize("limit", [FOR_EVER, QosTime(2147483647, 4294967295), QosTime(2**64 - 1, 0)])
    def test_every_way_to_write_no_limit_is_none(self, limit: QosTime) -> None:
        assert offer([RECORDED._replace(deadline=limit, lifespan=limit)]).deadline == offer([]).deadline


class TestTopics:
    BAG = {
        "/camera/image": BagTopic("/camera/image", IMAGE, 3, (RECORDED,)),
        "/clock": BagTopic("/clock", "rosgraph_msgs/msg/Clock", 2, ()),
        "/lidar": BagTopic("/lidar", "maker_msgs/msg/Scan", 5, ()),
    }

    def test_all_topics_of_known_types_are_played_and_the_others_named(self) -> None:
        warnings: list[str] = []
        played = choose_topics([self.BAG], [], {}, False, warnings.append)
        assert [topic.name for topic in played] == ["/camera/image", "/clock"]
        assert warnings == ["/lidar is left out: message type maker_msgs/msg/Scan is not installed here"]

    def test_the_clock_of_the_bag_gives_way_to_ours(self) -> None:
        warnings: list[str] = []
        played = choose_topics([self.BAG], ["/clock", "/camera/image"], {}, True, warnings.append)
        assert [topic.name for topic in played] == ["/camera/image"] and "--clock" in warnings[0]

    def test_a_topic_of_several_bags_is_one(self) -> None:
        (played,) = choose_topics([self.BAG, self.BAG], ["/camera/image"], {}, False, pytest.fail)
        assert (played.count, played.profile.depth) == (6, 10)

    def test_a_topic_can_have_another_name(self) -> None:
        (played,) = choose_topics([self.BAG], ["/camera/image"], {"/camera/image": "/front/image"}, False, pytest.fail)
        assert (played.recorded, played.name) == ("/camera/image", "/front/image")

    @pytest.mark.parametrize(
        ("bag", "wanted", "remap", "problem"),
        [
            (BAG, ["/radar"], {}, "--topics: no topic '/radar' in the bag; it has /camera/image, /clock, /lidar"),
            (BAG, [], {"/radar": "/a"}, "--remap: no topic '/radar'"),
            (BAG, [], {"/camera/image": "front image"}, "'front image' is no full topic name"),
            (BAG, ["/lidar"], {}, "no messages that can be played"),
            ({"/t": BagTopic("/t", IMAGE, 0, ())}, [], {}, "no messages that can be played"),
            ({}, ["/t"], {}, "it has none"),
        ],
    )
    def test_what_cannot_be_played_is_said(
        self, bag: dict[str, BagTopic], wanted: list[str], remap: dict[str, str], problem: str
    ) -> None:
        with pytest.raises(InputError, match=problem):
            choose_topics([bag], wanted, remap, False, lambda line: None)

    def test_one_topic_with_two_types_is_refused(self) -> None:
        other = {"/clock": BagTopic("/clock", IMAGE, 1, ())}
        with pytest.raises(InputError, match="is rosgraph_msgs/msg/Clock in one bag and sensor_msgs/msg/Image"):
            choose_topics([self.BAG, other], [], {}, False, lambda line: None)

    @pytest.mark.parametrize("name", ["sensor_msgs/msg/Nothing", "nothing/msg/Image", "Image", "", "../msg/Image"])
    def test_a_type_that_is_not_installed_is_said(self, name: str) -> None:
        with pytest.raises(InputError, match="is not installed here"):
            message_class(name)

    @pytest.mark.parametrize("name", [IMAGE, "sensor_msgs/Image"])
    def test_a_type_is_found_by_both_ways_to_write_it(self, name: str) -> None:
        assert message_class(name).__name__ == "Image"

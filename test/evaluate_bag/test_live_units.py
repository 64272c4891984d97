"""The parts of evaluate_bag --live that need no other process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Writer

from errseg_model.errors import InputError
from errseg_model.result import UNLABELLED
from errseg_model.sample_drive import SampleDrive
from errseg_model.vocabulary import Vocabulary
from errseg_ros.bags import BagReader, make_typestore
from errseg_ros.bags.messages import IMAGE, Messages
from errseg_ros.class_ids import positions
from errseg_ros.evaluate_bag.live.assembly import Assembly, LiveAnswer
from errseg_ros.evaluate_bag.live.images import BagImages
from errseg_ros.evaluate_bag.live.options import LiveOptions
from errseg_ros.evaluate_bag.main import main
from errseg_ros.evaluate_bag.run import Interrupt
from errseg_ros.evaluate_bag.stamps import DriveTime
from errseg_ros.ros_time import SECOND
from errseg_ros.sample_bag import IMAGE_TOPIC, write_sample_bag

MS = 1_000_000


def at(stamp_ns: int, **fields: Any) -> SimpleNamespace:
    """A message with a header."""
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), **fields)


def labels(**ids: int) -> SimpleNamespace:
    """A label_info."""
    return SimpleNamespace(
        class_map=[SimpleNamespace(class_name=name, class_id=number) for name, number in ids.items()], threshold=0.5
    )


def scores(stamp_ns: int, *names: str) -> SimpleNamespace:
    """Class scores."""
    return at(stamp_ns, results=[SimpleNamespace(class_id=name) for name in names])


class TestAssembly:
    @pytest.fixture
    def answers(self) -> list[LiveAnswer]:
        """What is complete."""
        return []

    @pytest.fixture
    def assembly(self, answers: list[LiveAnswer]) -> Assembly:
        """With labels for "road" and "sky"."""
        assembly = Assembly(answers.append)
        assembly.add_labels(labels(road=4, sky=2))
        return assembly

    @pytest.mark.parametrize("order", ["imcs", "mcsi", "scmi", "imsc", "cism"])
    def test_an_answer_is_complete_in_every_order(
        self, assembly: Assembly, answers: list[LiveAnswer], order: str
    ) -> None:
        add = {
            "i": lambda: assembly.add_image(7, 0, 100 * MS),
            "m": lambda: assembly.add_mask(at(7, data="mask"), 350 * MS),
            "c": lambda: assembly.add_confidence(at(7, data="confidence")),
            "s": lambda: assembly.add_scores(scores(7, "road", "sky")),
        }
        for step in order[:-1]:
            add[step]()
        assert answers == []
        add[order[-1]]()
        (answer,) = answers
        assert (answer.stamp_ns, answer.latency_ms) == (7, 250.0)
        assert (answer.names, answer.ids) == (("road", "sky"), (4, 2))
        assert (answer.mask.data, answer.confidence.data) == ("mask", "confidence")
        assert (assembly.published, assembly.answered) == (1, 1)

    def test_images_without_a_mask_were_dropped(self, assembly: Assembly) -> None:
        for number in range(10):
            assembly.add_image(number, 0, number * MS)
            if number % 3 == 0:
                assembly.add_mask(at(number), number * MS)
        assert (assembly.published, assembly.answered) == (10, 4)
        assert (assembly.first_ns, assembly.last_ns) == (0, 9 * MS)

    def test_in_a_loop_every_image_counts(self, assembly: Assembly) -> None:
        for received in (0, 1000 * MS):
            for stamp in (1, 2):
                assembly.add_image(stamp, 0, received + stamp * MS)
            assembly.add_mask(at(2), received + 9 * MS)
        assert (assembly.published, assembly.answered) == (4, 2)

    def test_a_mask_that_comes_twice_answers_one_image(self, assembly: Assembly, answers: list[LiveAnswer]) -> None:
        assembly.add_image(7, 0, 0)
        for _ in range(2):
            assembly.add_mask(at(7), 1)
            assembly.add_confidence(at(7))
            assembly.add_scores(scores(7, "road", "sky"))
        assembly.finish()
        assert (assembly.published, assembly.answered, len(answers), assembly.strangers) == (1, 1, 1, 1)

    def test_the_labels_may_come_after_the_mask(self, assembly: Assembly, answers: list[LiveAnswer]) -> None:
        assembly.add_image(7, 0, 0)
        for message in (at(7), at(8)):
            assembly.add_confidence(message)
        assembly.add_mask(at(7), 1)
        assembly.add_scores(scores(7, "dragon"))
        assert answers == []
        assembly.add_labels(labels(dragon=9))
        assert [answer.ids for answer in answers] == [(9,)]
        assert assembly.threshold == 0.5

    def test_a_mask_of_an_image_that_was_not_heard_counts_apart(
        self, assembly: Assembly, answers: list[LiveAnswer]
    ) -> None:
        assembly.add_mask(at(7), 1)
        assembly.add_confidence(at(7))
        assembly.add_scores(scores(7, "road", "sky"))
        assembly.finish()
        assert (assembly.published, assembly.answered, assembly.strangers, assembly.incomplete) == (0, 0, 1, 0)
        assert answers == []

    def test_an_answer_without_all_its_parts_is_said_and_counts_as_answered(self, assembly: Assembly) -> None:
        assembly.add_image(7, 0, 0)
        assembly.add_mask(at(7), 1)
        assembly.finish()
        assert (assembly.answered, assembly.strangers, assembly.incomplete) == (1, 0, 1)

    @pytest.mark.parametrize("clock", [0, -(10**15), 10**15])
    @pytest.mark.parametrize("order", ["im", "mi"])
    def test_an_image_that_comes_later_than_its_mask_was_there_when_it_was_sent(
        self, assembly: Assembly, answers: list[LiveAnswer], clock: int, order: str
    ) -> None:
        start = 10**18
        assembly.add_image(6, start - clock, start + 2 * MS)  # the quickest, by whatever clock its publisher has
        assembly.add_image(5, start + 10 * MS - clock, start + 15 * MS)
        add = {
            "i": lambda: assembly.add_image(7, start + 40 * MS - clock, start + 100 * MS + 500_000),
            "m": lambda: assembly.add_mask(at(7), start + 100 * MS),
        }
        for step in order:
            add[step]()
        assembly.add_confidence(at(7))
        assembly.add_scores(scores(7, "road", "sky"))
        assert [answer.latency_ms for answer in answers] == [58.0]

    def test_an_answer_before_its_image_without_a_quicker_image_has_no_latency(
        self, assembly: Assembly, answers: list[LiveAnswer]
    ) -> None:
        assembly.add_mask(at(7), 100 * MS)
        assembly.add_confidence(at(7))
        assembly.add_scores(scores(7, "road", "sky"))
        assembly.add_image(7, 40 * MS, 101 * MS)
        assembly.finish()
        assert answers == []
        assert (assembly.answered, assembly.untimed, assembly.incomplete, assembly.strangers) == (1, 1, 0, 0)

    def test_only_the_last_images_tell_how_a_clock_differs(self, assembly: Assembly, answers: list[LiveAnswer]) -> None:
        for number in range(1, 1001):  # the publisher's clock loses 1 ms with each image, far more than one does
            sent = number * 100 * MS
            assembly.add_image(number, sent - number * MS, sent + 2 * MS)
            assembly.add_mask(at(number), sent + 52 * MS)
            assembly.add_confidence(at(number))
            assembly.add_scores(scores(number, "road", "sky"))
        assert max(answer.latency_ms for answer in answers) == 50.0 + 199  # of 200 images, not of 1000

    def test_memory_does_not_grow(self, assembly: Assembly) -> None:
        for number in range(5000):
            assembly.add_image(number, 0, number)
            assembly.add_mask(at(number + 10**6), number)
        assert len(assembly._images) <= 1000 and len(assembly._answers.parts) <= 16
        assembly.finish()
        assert assembly.strangers == 5000


def test_where_the_middleware_tells_no_time_of_arrival_it_is_now() -> None:
    from errseg_ros.evaluate_bag.live.listener import _received_ns

    assert _received_ns({"received_timestamp": 7}) == 7
    assert abs(_received_ns({"received_timestamp": 0}) - time.time_ns()) < 10 * 10**9


@pytest.mark.parametrize(("dtype", "unlabelled"), [(np.uint8, 255), (np.uint16, 65535)])
def test_ids_become_positions(dtype: Any, unlabelled: int) -> None:
    mask = np.array([[4, 2], [unlabelled, 4]], dtype)
    assert positions(mask, (4, 2)).tolist() == [[0, 1], [UNLABELLED, 0]]


def test_an_id_that_nobody_names_is_said() -> None:
    with pytest.raises(InputError, match=r"the ids \[7\], which its label_info does not name"):
        positions(np.array([[4, 7, 255]], np.uint8), (4, 2))


START = 10**18
DRIVE = [START + number * SECOND // 10 for number in range(40)]
GLITCH = [*DRIVE[:10], START + 5000 * SECOND, *DRIVE[11:]]
RESET = [*DRIVE[:20], *(stamp - START + 1 for stamp in DRIVE[:20])]


def image_bag(path: Path, stamps: Sequence[int]) -> Path:
    """A bag of images with these stamps, recorded ten a second."""
    store = make_typestore()
    messages = Messages(store)
    with Writer(path, version=9) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=store)
        for number, stamp in enumerate(stamps):
            image = messages.image(messages.header(stamp, "camera"), np.zeros((2, 2), np.uint8), "mono8")
            writer.write(connection, SECOND + number * SECOND // 10, store.serialize_cdr(image, IMAGE))
    return path


class TestBagImages:
    @pytest.mark.parametrize(
        ("stamps", "asked"),
        [
            (DRIVE, range(40)),
            (DRIVE, (0, 1, 5, 6, 30, 39)),  # the others are passed over
            ([DRIVE[number] for number in (0, 2, 1, 4, 3)], range(5)),  # in some disorder
            (GLITCH, (0, 9, 11, 20, 39)),  # one in the future, which is not asked for
            (GLITCH, range(40)),
            (RESET, range(40)),  # the clock jumps back
            (RESET, (0, 19, 21, 39)),
            ([*DRIVE, *DRIVE], range(80)),  # a drive twice
            ([*DRIVE, *DRIVE], (0, 38, 40, 79)),
            ([*DRIVE, *DRIVE], (0, 38, 41, 42)),
            ([0, DRIVE[0], 0, DRIVE[1]], (1, 3)),  # some without a stamp
        ],
    )
    def test_images_are_found_by_their_stamps(self, tmp_path: Path, stamps: list[int], asked: Sequence[int]) -> None:
        with BagReader(image_bag(tmp_path / "bag", stamps)) as reader:
            images = BagImages(reader, "/image")
            found = [images.find(stamps[index]) for index in asked]
            assert [image and image.index for image in found] == list(asked)
            assert [image and image.stamp_ns for image in found] == [stamps[index] for index in asked]
            assert [image and image.recorded.time_ns for image in found] == [
                SECOND + index * SECOND // 10 for index in asked
            ]

    @pytest.mark.parametrize("stamps", [DRIVE, RESET, [*DRIVE, *DRIVE], [0, 0, *DRIVE], [DRIVE[0], 0, DRIVE[2]]])
    @pytest.mark.parametrize("dropped", [0, 7])
    def test_time_is_that_of_an_evaluation_without_the_node(
        self, tmp_path: Path, stamps: list[int], dropped: int
    ) -> None:
        time_there = DriveTime()
        with BagReader(image_bag(tmp_path / "bag", stamps)) as reader:
            there = [
                time_there.since_first(stamp, recorded.time_ns) / SECOND
                for stamp, recorded in zip(stamps, reader.messages(["/image"]), strict=True)
            ]
            images = BagImages(reader, "/image")
            for index, stamp in enumerate(stamps):
                if stamp and (not dropped or index % dropped):
                    found = images.find(stamp)
                    assert found is not None and (found.index, found.seconds) == (index, there[index])

    @pytest.mark.parametrize("stamp", [DRIVE[3] + 1, DRIVE[39] + 1000 * SECOND, 1, 0])
    def test_a_stamp_of_no_image_is_none_and_loses_none(self, tmp_path: Path, stamp: int) -> None:
        with BagReader(image_bag(tmp_path / "bag", [0, *DRIVE])) as reader:
            images = BagImages(reader, "/image")
            assert images.find(stamp) is None and not images.has(stamp)
            found = images.find(DRIVE[4])
            assert found is not None and found.index == 5
            assert images.find(DRIVE[4]) is None and images.has(DRIVE[4])
            assert images.find(DRIVE[2]) is None and images.has(DRIVE[2])
            assert images.find(DRIVE[5]) is not None

    def test_images_without_stamps_are_refused(self, tmp_path: Path) -> None:
        with (
            BagReader(image_bag(tmp_path / "bag", [0, 0])) as reader,
            pytest.raises(InputError, match="have empty stamps"),
        ):
            BagImages(reader, "/image")


class FakeListener:
    """Stands for the node: it has answered these stamps."""

    last_event = 0.0
    unseen = 0
    facts = SimpleNamespace(model="picture", device="cpu", input_size=(64, 64), max_classes=32)

    def __init__(self, stamps: Sequence[int]) -> None:
        self.assembly = Assembly(lambda answer: None)
        messages = Messages(make_typestore())
        mask = messages.image(messages.header(0, "camera"), np.full((2, 2), 4, np.uint8), "mono8")
        for number, stamp in enumerate(stamps):
            self.assembly.add_image(stamp, 0, number * MS)
        self._answers = [LiveAnswer(stamp, 50.0, ("road",), (4,), mask, mask) for stamp in stamps]

    def __enter__(self) -> FakeListener:
        return self

    def __exit__(self, *_: object) -> None: ...

    def stop(self) -> None: ...

    def wait_for_node(self, seconds: float, stopped: Any) -> bool:
        return True

    def next(self) -> LiveAnswer | None:
        return self._answers.pop(0) if self._answers else None

    def vocabulary(self, names: tuple[str, ...]) -> Vocabulary:
        return Vocabulary.parse(names)


@pytest.mark.parametrize(
    ("stamps", "answered", "indexes", "again", "strangers"),
    [
        (DRIVE, [*DRIVE, *DRIVE], range(40), 40, 0),
        ([*DRIVE, *DRIVE], [*DRIVE, *DRIVE], range(80), 0, 0),
        (GLITCH, GLITCH, range(40), 0, 0),
        (RESET, [*RESET, *RESET], range(40), 40, 0),
        (DRIVE, [DRIVE[0], DRIVE[1] - 1, DRIVE[1] + 1, DRIVE[2]], (0, 2), 0, 2),
    ],
)
def test_every_answer_is_of_its_image_or_told_why_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_settings: Any,
    stamps: list[int],
    answered: list[int],
    indexes: Sequence[int],
    again: int,
    strangers: int,
) -> None:
    from errseg_ros.evaluate_bag.live import session

    monkeypatch.setattr(session, "Listener", lambda *_: FakeListener(answered))
    bag = image_bag(tmp_path / "bag", stamps)
    evaluation = session.evaluate_live(bag, make_settings(), LiveOptions(), Interrupt(), lambda line: None)
    assert [frame.index for frame in evaluation.frames] == list(indexes)
    placed = [frame for frame in evaluation.frames if frame.stamp_ns != GLITCH[10]]
    assert [frame.seconds for frame in placed] == pytest.approx([frame.index / 10 for frame in placed], abs=1e-6)
    assert [note for note in evaluation.notes if "played again" in note] == (
        [f"{again} images were played again; they count as published and answered only."] if again else []
    )
    assert [problem for problem in evaluation.bags[0].problems if "masks of no image" in problem] == (
        [f"masks of no image of the bag: {strangers}; the first: that with the stamp {answered[1]} ns"]
        if strangers
        else []
    )


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of the sample drive."""
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_sample_bag(path, SampleDrive(height=48, width=64, duration_s=0.3))
    return path


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--live", "--stride", "2"], "--stride does not go with --live"),
        (["--live", "--vocabulary", "road; sky"], "--vocabulary does not go with --live"),
        (["--live", "--output-bag", "bag"], "--output-bag does not go with --live"),
        (["--live", "--resume"], "--resume does not go with --live"),
        (["--live", "--model", "errseg-b"], "--model does not go with --live"),
        (["--live", "--precision", "bfloat16"], "--precision does not go with --live"),
        (["--node", "/other"], "--node needs --live"),
        (["--idle", "3"], "--idle needs --live"),
        (["BAG", "--live"], "evaluates one bag"),
        (["--live", "--image-topic", "/radar"], "there is no topic /radar"),
        (["--live", "--image-topic", IMAGE_TOPIC, "--node", "/a b"], "node '/a b', camera 'camera'"),
    ],
)
def test_wrong_input_is_one_line(
    drive: Path, tmp_path: Path, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main([str(drive), *(str(drive) if word == "BAG" else word for word in words), "--out", str(tmp_path / "out")])
        == 2
    )
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and errors.startswith("evaluate_bag: error: ") and problem in errors
    assert not (tmp_path / "out").exists()


def test_a_place_for_the_report_is_there_before_the_drive_is_played(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main([str(drive), "--image-topic", IMAGE_TOPIC, "--live", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "file is no folder that can be written to" in capsys.readouterr().err

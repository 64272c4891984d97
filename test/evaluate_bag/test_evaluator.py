from __future__ import annotations

import dataclasses
import resource
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from errseg_model.errors import InputError
from errseg_ros.bags import BagMessage
from errseg_ros.evaluate_bag.evaluator import BagEvaluation, evaluate_one
from errseg_ros.evaluate_bag.labels import LabelKey, read_label_names, read_palette
from errseg_ros.evaluate_bag.merge import merge
from errseg_ros.evaluate_bag.plan import prepare
from errseg_ros.evaluate_bag.sink import ComputedFrame

MakeSettings = Callable[..., Any]
SKY = np.zeros((6, 8), np.uint8)
ROAD = np.ones((6, 8), np.uint8)
HALF = np.repeat([[0, 1]], 4, axis=1).repeat(6, axis=0).astype(np.uint8)
NAMES = {0: "sky", 1: "road"}


def evaluate(path: Path, settings: Any, models: Any, **options: Any) -> tuple[BagEvaluation, list[Any]]:
    ((plan,), settings) = prepare([path], settings)
    part = evaluate_one(plan, settings, models(settings), **options)
    return part, list(part.rows.results(part.summary.name, [period.vocabulary for period in settings.periods]))


def confusion(part: BagEvaluation, settings: Any) -> NDArray[np.int64]:
    truth = merge([part], settings, 1.0).truth
    assert truth is not None
    return truth.confusion.counts


def test_every_image_is_compared_with_its_truth(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    path = ros.drive([(0.0, SKY, SKY), (0.1, SKY, HALF), (0.2, ROAD, SKY), (0.3, HALF, None)], NAMES)
    settings = make_settings("sky; road", label_topic="/camera/labels")
    part, frames = evaluate(path, settings, make_models)
    assert [frame.pixel_accuracy for frame in frames] == [1.0, 0.5, 0.0, None]
    assert [frame.flicker for frame in frames] == [None, 0.0, 1.0, 0.5]
    assert [round(frame.seconds, 3) for frame in frames] == [0.0, 0.1, 0.2, 0.3]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert confusion(part, settings).tolist() == [[48 + 24, 48, 0], [24, 0, 0]]
    summary = part.summary
    assert (summary.images, summary.evaluated, summary.labelled, summary.problems) == (4, 4, 3, ())
    assert [entry.name for entry in part.classes] == ["sky", "road"]


def test_same_bag_gives_the_same_numbers_twice(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    path = ros.drive([(n / 10, HALF, SKY) for n in range(8)], NAMES)
    settings = make_settings("road; sky", label_topic="/camera/labels", compare="")
    assert evaluate(path, settings, make_models)[1] == evaluate(path, settings, make_models)[1]


def test_stride_takes_every_nth_image_and_time_from_the_first(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(n / 10, SKY, SKY) for n in range(8)], NAMES)
    part, frames = evaluate(path, make_settings(label_topic="/camera/labels", stride=3), make_models)
    assert [frame.index for frame in frames] == [0, 3, 6]
    assert frames[1].seconds == pytest.approx(0.3)
    assert (part.summary.evaluated, part.summary.labelled) == (3, 3)


def test_labels_may_come_long_after_their_images(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    stamps = [ros.start + n * 10**8 for n in range(5)]
    messages = [("/image", stamp, ros.image(stamp, np.zeros((6, 8, 3), np.uint8))) for stamp in stamps]
    messages += [("/labels", stamp + 10**12, ros.image(stamp, SKY, "mono8")) for stamp in stamps]
    settings = make_settings(label_topic="/labels", label_key=LabelKey.of(NAMES.items()))
    _, frames = evaluate(ros.bag(messages), settings, make_models)
    assert [frame.pixel_accuracy for frame in frames] == [1.0] * 5


def test_tolerance_decides_which_labels_belong(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    image = ("/image", ros.start, ros.image(ros.start, np.zeros((6, 8, 3), np.uint8)))
    label = ("/labels", ros.start, ros.image(ros.start + 30_000_000, SKY, "mono8"))
    settings = make_settings(label_topic="/labels", label_key=LabelKey.of(NAMES.items()))
    path = ros.bag([image, label])
    part, _ = evaluate(path, settings, make_models)
    assert part.summary.labelled == 0
    assert part.summary.problems == (
        "no image has a label within the tolerance of 0.001 s; the nearest one is 0.03 s away: choose another "
        "--tolerance",
    )
    part, _ = evaluate(path, dataclasses.replace(settings, tolerance_seconds=0.03), make_models)
    assert (part.summary.labelled, part.summary.problems) == (1, ())


@pytest.mark.parametrize("kind", ["mono16", "colours", "compressed colours"])
def test_labels_of_every_kind_give_the_same_figures(
    ros: Any, make_settings: MakeSettings, make_models: Any, draw: Any, kind: str, tmp_path: Path
) -> None:
    wrong = HALF.copy()
    wrong[:2] = 1
    expected, _ = evaluate(
        ros.drive([(0.0, wrong, HALF)], NAMES, name="ids"), make_settings(label_topic="/camera/labels"), make_models
    )
    colours = np.array([[70, 130, 180], [128, 64, 128]], np.uint8)[HALF]
    labels = {
        "mono16": lambda: ros.image(ros.start, HALF.astype(np.uint16), "mono16"),
        "colours": lambda: ros.image(ros.start, colours),
        "compressed colours": lambda: ros.compressed(ros.start, colours),
    }[kind]()
    path = ros.bag([("/image", 1, ros.image(ros.start, draw(wrong))), ("/labels", 2, labels)])
    (tmp_path / "ids.yaml").write_text("0: sky\n1: road\n")
    (tmp_path / "palette.yaml").write_text("sky: [70, 130, 180]\nroad: '#804080'\n")
    key = read_label_names(tmp_path / "ids.yaml") if kind == "mono16" else read_palette(tmp_path / "palette.yaml")
    settings = make_settings(image_topic="/image", label_topic="/labels", label_key=key)
    part, (frame,) = evaluate(path, settings, make_models)
    assert frame.pixel_accuracy == pytest.approx(5 / 6)
    for counted, of_ids in zip(part.pixels, expected.pixels, strict=True):
        np.testing.assert_array_equal(counted, of_ids)


def test_labels_of_another_size_are_named_once_and_not_compared(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, SKY, SKY), (0.1, SKY, SKY[:3]), (0.2, SKY, SKY[:2])], NAMES)
    part, frames = evaluate(path, make_settings(label_topic="/camera/labels"), make_models)
    assert [frame.pixel_accuracy for frame in frames] == [1.0, None, None]
    assert part.summary.problems == (
        "labels of another size than their image: 2; the first: that of image 1, 3x8, not 6x8",
    )


def test_images_that_cannot_be_decoded_are_skipped_and_counted(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(n / 10, SKY, None) for n in range(5)], storage=StoragePlugin.SQLITE3)
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE messages SET data = x'00010000' WHERE id IN (1, 3)")
    part, frames = evaluate(path, make_settings("sky"), make_models)
    assert [frame.index for frame in frames] == [1, 3, 4]
    assert frames[0].seconds == 0.0
    (problem,) = part.summary.problems
    assert problem.startswith("images that cannot be decoded: 2; the first: image 0: a message on /camera/image is no")


def test_image_in_an_unknown_encoding_is_skipped(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    wrong = ros.image(ros.start, np.zeros((6, 8, 3), np.uint8), "magic")
    right = ros.image(ros.start + 1, np.zeros((6, 8, 3), np.uint8))
    path = ros.bag([("/image", 1, wrong), ("/image", 2, right)])
    part, frames = evaluate(path, make_settings("sky"), make_models)
    assert len(frames) == 1
    assert part.summary.problems[0].startswith("images that cannot be decoded: 1; the first: image 0: encoding 'magic'")


def test_compressed_images_are_evaluated(ros: Any, make_settings: MakeSettings, make_models: Any, draw: Any) -> None:
    path = ros.bag([("/image/compressed", 1, ros.compressed(ros.start, draw(HALF)))])
    _, (frame,) = evaluate(path, make_settings("sky; road"), make_models)
    assert frame.shares == {"sky": 0.5, "road": 0.5}


def test_vocabulary_changes_at_its_time(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    path = ros.drive([(n / 10, HALF, None) for n in range(6)])
    _, frames = evaluate(path, make_settings("sky; road", (0.3, "street; tree")), make_models)
    assert [frame.vocabulary for frame in frames] == [0, 0, 0, 1, 1, 1]
    assert frames[3].shares == {"street": 0.5, "tree": 0.5}
    assert [frame.flicker for frame in frames] == [None, 0.0, 0.0, None, 0.0, 0.0]


def test_masks_are_compared_with_those_of_another_model(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, HALF, None)])

    def models(settings: Any) -> Any:
        return make_models(settings, other=lambda mask: 1 - mask)

    _, (frame,) = evaluate(path, make_settings("sky; road", compare=""), models)
    assert frame.disagreement == 1.0
    _, (frame,) = evaluate(path, make_settings("sky; road", compare="road; sky"), models)
    assert frame.disagreement == 0.0


def test_classes_of_the_image_before_are_held_under_the_same_words(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    """As the node does: else its figures in a drive and those of its bag would differ."""
    path = ros.drive([(0.0, HALF, None), (1.0, SKY, None), (2.0, ROAD, None), (3.0, HALF, None)])
    settings = make_settings("sky; road", (1.5, "road; sky"), compare="")
    loaded = []

    def models(settings: Any) -> Any:
        loaded.append(make_models(settings, lambda mask: 1 - mask))
        return loaded[0]

    evaluate(path, settings, models)
    assert loaded[0].before == [(None, None), ([0, 1], [0, 1]), (None, None), ([1], [0])]


def test_a_drive_that_was_played_twice_is_compared_with_the_labels_of_each_pass(
    ros: Any, make_settings: MakeSettings, make_models: Any, draw: Callable[..., NDArray[np.uint8]]
) -> None:
    messages = [("/camera/label_info", ros.start, ros.label_info(NAMES))]
    for number in range(60):
        stamp, time = ros.start + number % 30 * 10**8, ros.start + number * 10**8
        positions = SKY if number < 30 else ROAD
        messages.append(("/camera/image", time, ros.image(stamp, draw(positions))))
        messages.append(("/camera/labels", time, ros.image(stamp, positions, "mono8")))
    _, frames = evaluate(ros.bag(messages), make_settings(label_topic="/camera/labels"), make_models)
    assert [frame.pixel_accuracy for frame in frames] == [1.0] * 60
    assert [round(frame.seconds, 3) for frame in frames] == [number / 10 for number in range(60)]


def test_one_image_without_a_stamp_has_no_truth_and_the_time_of_its_recording(
    ros: Any, make_settings: MakeSettings, make_models: Any, draw: Callable[..., NDArray[np.uint8]]
) -> None:
    messages = [("/camera/label_info", ros.start, ros.label_info(NAMES))]
    for number in range(6):
        stamp = (number + 1) * 10**8  # of a simulator
        messages.append(("/camera/image", ros.start + stamp, ros.image(stamp if number != 2 else 0, draw(SKY))))
        messages.append(("/camera/labels", ros.start + stamp, ros.image(stamp if number != 3 else 0, SKY, "mono8")))
    part, frames = evaluate(ros.bag(messages), make_settings(label_topic="/camera/labels"), make_models)
    assert [frame.pixel_accuracy for frame in frames] == [1.0, 1.0, None, None, 1.0, 1.0]
    assert [round(frame.seconds, 3) for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert part.summary.problems == ("images without a stamp, which tells no label: 1; the first: image 2",)


def test_images_without_a_stamp_have_the_time_of_their_recording(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    empty = ros.image(0, np.zeros((6, 8, 3), np.uint8))
    path = ros.bag([("/image", ros.start, empty), ("/image", ros.start + 2 * 10**9, empty)])
    _, frames = evaluate(path, make_settings("sky"), make_models)
    assert [frame.seconds for frame in frames] == [0.0, 2.0]


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_of_a_bag_that_was_cut_what_is_there_is_evaluated(
    ros: Any, make_settings: MakeSettings, make_models: Any, storage: StoragePlugin
) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (100, 120)).astype(np.uint8)
    path = ros.drive([(n / 10, noise, noise) for n in range(40)], NAMES, storage=storage)
    (file,) = [entry for entry in path.iterdir() if entry.suffix != ".yaml"]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    part, frames = evaluate(path, make_settings(label_topic="/camera/labels"), make_models)
    assert 10 < len(frames) < 30
    assert part.summary.images == 40
    assert part.summary.evaluated - part.summary.labelled in (0, 1)
    assert "is damaged" in part.summary.problems[0]


def test_figures_of_a_bag_are_those_of_torchmetrics(ros: Any, make_settings: MakeSettings, make_models: Any) -> None:
    rng = np.random.default_rng(7)
    truths = [rng.integers(0, 4, (30, 40)) for _ in range(12)]  # 3 has no name, so it does not count
    masks = [np.where(rng.random(t.shape) < 0.7, t, rng.integers(0, 5, t.shape)) for t in truths]
    path = ros.drive(
        [(n / 10, m, t) for n, (m, t) in enumerate(zip(masks, truths, strict=True))], {0: "a", 1: "b", 2: "c"}
    )
    settings = make_settings("a; b; c; d", label_topic="/camera/labels")
    part, frames = evaluate(path, settings, make_models)
    predictions = torch.from_numpy(np.stack(masks)).clamp(max=3)  # d and unlabelled are none of the truth's classes
    truth = torch.from_numpy(np.stack(truths))
    matrix = MulticlassConfusionMatrix(num_classes=4, ignore_index=3)(predictions, truth)
    np.testing.assert_array_equal(confusion(part, settings), matrix[:3].numpy())
    for frame, mask, labels in zip(frames, masks, truths, strict=True):
        metric = MulticlassJaccardIndex(num_classes=4, ignore_index=3, average="none")
        iou = metric(torch.from_numpy(mask).clamp(max=3), torch.from_numpy(labels))
        assert frame.miou == pytest.approx(float(iou[:3].mean()), rel=1e-6)


class Sink:
    """Keeps what it is given."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.seen: list[str] = []
        self.end = ""
        self._fail_at = fail_at

    def write_original(self, message: BagMessage) -> None:
        self.seen.append(message.topic)

    def write_result(self, frame: ComputedFrame) -> None:
        if len(self.seen) == self._fail_at:
            raise InputError("the disk is full")
        self.seen.append(f"result {frame.frame_id} {(frame.stamp_ns - 1_700_000_000 * 10**9) // 10**8}")

    def close(self) -> None:
        self.end += "closed"

    def discard(self) -> None:
        self.end += "discarded"


def test_sink_gets_every_message_and_each_result_after_its_image(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, SKY, SKY), (0.1, SKY, SKY)], NAMES)
    sink = Sink()
    with_sink, _ = evaluate(path, make_settings("sky", label_topic="/camera/labels"), make_models, sink=sink)
    assert sink.end == "closed"
    image, labels = "/camera/image", "/camera/labels"
    expected = ["/camera/label_info", image, "result camera 0", labels, image, "result camera 1", labels]
    assert sink.seen == expected
    without, _ = evaluate(path, make_settings("sky", label_topic="/camera/labels"), make_models)
    np.testing.assert_array_equal(with_sink.pixels[0], without.pixels[0])


def test_sink_that_fails_is_discarded_and_its_error_told(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, SKY, None), (0.1, SKY, None)])
    sink = Sink(fail_at=1)
    with pytest.raises(InputError, match="the disk is full"):
        evaluate(path, make_settings("sky"), make_models, sink=sink)
    assert sink.end == "discarded"


def test_evaluation_that_ends_early_leaves_no_output_bag(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    path = ros.drive([(0.0, SKY, None), (0.1, SKY, None)])
    sink = Sink()
    part, _ = evaluate(path, make_settings("sky"), make_models, sink=sink, go_on=lambda progress: False)
    assert (part.summary.evaluated, sink.end) == (1, "discarded")


def test_all_but_the_model_takes_less_than_a_tenth_of_it(
    ros: Any, make_settings: MakeSettings, make_models: Any
) -> None:
    """Of errseg-lite's 0.3 s on two cores; in time of the processor, as others may use it too."""
    rng = np.random.default_rng(0)
    frames = [(n / 10, *rng.integers(0, 2, (2, 360, 640)).astype(np.uint8)) for n in range(20)]
    path = ros.drive(frames, NAMES)
    started = time.process_time()
    part, _ = evaluate(path, make_settings("sky; road", label_topic="/camera/labels"), make_models)
    assert part.summary.labelled == 20
    assert (time.process_time() - started) / 20 < 0.030


def resident_mb() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_memory_does_not_grow_with_the_bag(
    ros: Any, make_settings: MakeSettings, make_models: Any, storage: StoragePlugin
) -> None:
    rng = np.random.default_rng(0)

    def noise() -> NDArray[np.uint8]:
        return rng.integers(0, 2, (48, 64)).astype(np.uint8)

    path = ros.drive([(n / 10, noise(), noise()) for n in range(4000)], NAMES, storage=storage)
    sizes: list[float] = []

    def watch(progress: Any) -> bool:
        if progress.next_index % 500 == 0:
            sizes.append(resident_mb())
        return True

    part, _ = evaluate(path, make_settings(label_topic="/camera/labels"), make_models, go_on=watch)
    assert part.summary.labelled == 4000
    # 3000 frames, 36 MB of images and labels as they are recorded.
    assert sizes[-1] - sizes[1] < 8, sizes

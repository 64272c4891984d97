"""Crops: pictures and labels stay together, and any process draws what one would."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from errseg_model import InputError
from errseg_model.config import model_config
from errseg_model.training.augmentation import crop
from errseg_model.training.recipe import DatasetSource, FolderSource, TrainingRecipe
from errseg_model.training.samples import StepBatches, TrainingCrops

LITE = model_config("errseg-lite")
VOID = 11


def test_crops_keep_picture_and_labels_together(recipe: TrainingRecipe) -> None:
    labels = np.zeros((60, 80), np.uint16)
    labels[30:, 40:] = 3
    image = np.repeat(labels[..., None].astype(np.uint8) * 60, 3, axis=2)  # what is 3 is bright
    both = 0
    for number in range(40):
        pixels, ids = crop(image, labels, recipe, LITE.input_size, VOID, np.random.default_rng(number))
        assert pixels.shape == (64, 64, 3) and ids.shape == (64, 64)
        if {0, 3} <= set(np.unique(ids).tolist()):
            both += 1
            assert pixels.mean(axis=2)[ids == 3].mean() > pixels.mean(axis=2)[ids == 0].mean() + 20
    assert both > 5


def test_labels_stay_where_the_picture_is(recipe: TrainingRecipe) -> None:
    """A bar whose middle is the same in both, at a scale that no whole number of pixels makes."""
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, 54:66] = image[40:50] = 255
    labels = (image[..., 0] > 0).astype(np.uint16)
    for whole in ((128, 160), (64, 96)):
        still = dataclasses.replace(recipe, scale=(1.0, 1.0), aspect_jitter=0, rare_share=0, crop=whole)
        _, ids = crop(image, labels, still, whole, VOID, np.random.default_rng(0))
        for across in (ids[0], ids[:, 0]):
            assert np.nonzero(across == 1)[0].mean() == pytest.approx((len(across) - 1) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("size", "shorter_side", "whole"),
    [
        ((360, 480), None, (480, 640)),
        ((720, 1280), None, (360, 640)),
        ((720, 1280), 480, (480, 853)),
        ((1280, 720), 480, (853, 480)),
    ],
)
def test_at_scale_one_a_picture_is_as_large_as_the_recipe_or_else_the_model_makes_it(
    recipe: TrainingRecipe, tmp_path: Path, size: tuple[int, int], shorter_side: int | None, whole: tuple[int, int]
) -> None:
    """In a crop that is larger, beyond which nothing has a label."""
    for folder, shape in (("images", (*size, 3)), ("labels", size)):
        (tmp_path / folder).mkdir()
        assert cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros(shape, np.uint8))
    (tmp_path / "classes.yaml").write_text("0: road\n")
    own = dataclasses.replace(
        recipe,
        data=FolderSource(*(str(tmp_path / name) for name in ("images", "labels", "classes.yaml"))),
        sample_drive=None,
        shorter_side=shorter_side,
        scale=(1.0, 1.0),
        aspect_jitter=0,
        crop=(896, 896) if shorter_side else (672, 672),
    )
    crops = TrainingCrops(own, LITE)
    rows, columns = np.nonzero(crops[0][1].numpy() != crops.void)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == whole


def test_rare_classes_are_looked_for(recipe: TrainingRecipe) -> None:
    labels = np.zeros((200, 200), np.uint16)
    labels[:4, :4] = 5
    image = np.zeros((200, 200, 3), np.uint8)

    def seen(share: float) -> int:
        chosen = dataclasses.replace(recipe, rare_share=share)
        crops = (crop(image, labels, chosen, LITE.input_size, VOID, np.random.default_rng(n))[1] for n in range(30))
        return sum(int((ids == 5).any()) for ids in crops)

    assert seen(1.0) > 2 * seen(0.0) + 5


def test_a_crop_of_nothing_but_void_is_one_too(recipe: TrainingRecipe) -> None:
    void = np.full((40, 40), VOID, np.uint16)
    chosen = dataclasses.replace(recipe, rare_share=1.0)
    _, ids = crop(np.zeros((40, 40, 3), np.uint8), void, chosen, LITE.input_size, VOID, np.random.default_rng(0))
    assert (ids == VOID).all()


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_the_crops_of_one(processes: int) -> None:
    shares = [list(StepBatches(range(3, 6), 8, process, processes)) for process in range(processes)]
    together = [sum(step, []) for step in zip(*shares, strict=True)]
    assert together == [list(range(step * 8, step * 8 + 8)) for step in (3, 4, 5)]


def test_a_crop_is_a_function_of_its_number(recipe: TrainingRecipe) -> None:
    first, second = (TrainingCrops(dataclasses.replace(recipe, sample_drive=None), LITE) for _ in range(2))
    assert torch.equal(first[7][0], second[7][0]) and torch.equal(first[7][1], second[7][1])
    assert not torch.equal(first[7][0], first[8][0])


def test_labels_of_held_out_classes_do_not_count(recipe: TrainingRecipe) -> None:
    crops = TrainingCrops(dataclasses.replace(recipe, sample_drive=None, held_out=("sky", "car")), LITE)
    assert crops.void == 9 and crops.count_labels(False).weights(recipe.class_weight).shape == (10,)
    labels = torch.cat([crops[number][1].flatten() for number in range(20)])
    assert set(labels.unique().tolist()) == {2, 9}  # road moves up by one; sky is void


def test_a_rare_class_weighs_more_and_void_nothing(recipe: TrainingRecipe, tiny_camvid: Path) -> None:
    for path in (tiny_camvid / "train/labels").iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[0, :4] = 8  # two of them were void
        cv2.imwrite(str(path), labels)
    weights = TrainingCrops(recipe, LITE).count_labels(False).weights((0.1, 4.0))
    assert weights[VOID] == 0 and weights[8] == 4.0
    # Of 826, 828 and 4 pixels a picture; what has none makes none of them weigh less.
    assert weights[0] == pytest.approx((1658 / 3 / 826) ** 0.5) and weights[3] == pytest.approx((1658 / 3 / 828) ** 0.5)
    assert weights[5] == 4.0
    alike = TrainingCrops(dataclasses.replace(recipe, class_weight=None), LITE)
    assert alike.count_labels(False).weights(None).tolist() == [1.0] * 11 + [0.0]


def own_data(
    recipe: TrainingRecipe, root: Path, *rows: list[int], classes: str = "0: sky\n1: road\n"
) -> TrainingRecipe:
    """With a data set of one's own in place of CamVid, a label image for each row of pixels."""
    for number, row in enumerate(rows):
        for folder, shape in (("pictures", (1, len(row), 3)), ("masks", (1, len(row)))):
            (root / folder).mkdir(exist_ok=True)
            pixels = np.zeros(shape, np.uint8) if folder == "pictures" else np.array([row], np.uint8)
            assert cv2.imwrite(str(root / folder / f"{number}.png"), pixels)
    (root / "classes.yaml").write_text(classes)
    source = FolderSource(*(str(root / name) for name in ("pictures", "masks", "classes.yaml")))
    return dataclasses.replace(recipe, data=source, sample_drive=None, words=None)


@pytest.mark.parametrize("class_weight", [None, (0.6, 4.0)])
def test_classes_without_a_pixel_and_the_share_of_void_are_told(
    recipe: TrainingRecipe, tmp_path: Path, class_weight: tuple[float, float] | None
) -> None:
    """A mask of 0 and 255 of who meant 255 to be the road."""
    own = dataclasses.replace(own_data(recipe, tmp_path, [0, 255, 255, 0], [0, 0, 0, 0]), class_weight=class_weight)
    assert str(TrainingCrops(own, LITE).count_labels(False)) == (
        "labels of 2 of 2 pictures: 25.0% of the pixels are void; none is labelled road, which the model thus learns "
        "to find nowhere"
    )


def test_without_weights_counting_ends_once_every_class_has_been_found(recipe: TrainingRecipe, tmp_path: Path) -> None:
    own = own_data(recipe, tmp_path, *[[0, 1, 1, 255]] * 5)
    counts = TrainingCrops(dataclasses.replace(own, class_weight=None), LITE).count_labels(False)
    assert str(counts) == "labels of 1 of 5 pictures: 25.0% of the pixels are void; every class has some"
    assert TrainingCrops(own, LITE).count_labels(False).images == 5


@pytest.mark.parametrize("class_weight", [None, (0.6, 4.0)])
@pytest.mark.parametrize(("row", "held_out"), [([255, 255], ()), ([1, 255], ("road",))])
def test_data_without_a_label_is_refused(
    recipe: TrainingRecipe, tmp_path: Path, row: list[int], held_out: tuple[str, ...], class_weight: object
) -> None:
    own = dataclasses.replace(own_data(recipe, tmp_path, row, row), held_out=held_out, class_weight=class_weight)
    with pytest.raises(
        InputError, match=r"no pixel of the 2 label images .* such as .*masks/0\.png.*ids of the classes"
    ):
        TrainingCrops(own, LITE).count_labels(False)


def test_pictures_of_ones_own_become_crops(recipe: TrainingRecipe, tiny_camvid: Path) -> None:
    (tiny_camvid / "classes.yaml").write_text("0: sky\n3: road\n11: bonnet\n")
    folder = tiny_camvid / "train"
    source = FolderSource(str(folder / "images"), str(folder / "labels"), str(tiny_camvid / "classes.yaml"))
    crops = TrainingCrops(dataclasses.replace(recipe, data=source, sample_drive=None), LITE)
    assert crops.vocabulary.names == ("sky", "road", "bonnet") and crops.void == 3
    labels = torch.cat([crops[number][1].flatten() for number in range(20)])
    assert set(labels.unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": DatasetSource("camvid", "absent", ("train",))}, "absent is no folder"),
        ({"data": FolderSource("absent", "absent", "absent")}, "absent is no folder"),
    ],
)
def test_data_that_is_not_there_is_refused(recipe: TrainingRecipe, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainingCrops(dataclasses.replace(recipe, **changes), LITE)


def test_the_sample_drive_stands_beside_camvid_only(recipe: TrainingRecipe, tiny_camvid: Path) -> None:
    (tiny_camvid / "classes.yaml").write_text("0: sky\n3: road\n11: bonnet\n")
    folder = tiny_camvid / "train"
    source = FolderSource(str(folder / "images"), str(folder / "labels"), str(tiny_camvid / "classes.yaml"))
    with pytest.raises(InputError, match="sample_drive has CamVid's classes"):
        TrainingCrops(dataclasses.replace(recipe, data=source), LITE)

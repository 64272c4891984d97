"""Every data set in every layout that it is published in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from errseg_model.datasets import DatasetError, create_dataset, list_datasets
from errseg_model.datasets.factory import dataset_specification


def test_labels_mean_what_their_data_set_says(published: Any, publish: Callable[[Any], Path]) -> None:
    dataset = create_dataset(published.dataset, publish(published), published.split)
    sample = dataset[0]
    order = list(published.values)
    value_of_column = [order[column * len(order) // 20] for column in range(20)]
    means = [dataset.classes[label] if label < len(dataset.classes) else None for label in sample.labels[5]]
    assert means == [published.values[value] for value in value_of_column]
    assert sample.labels.max() <= len(dataset.classes)
    assert sample.labels.dtype == (np.uint8 if len(dataset.classes) < 256 else np.uint16)
    np.testing.assert_array_equal(sample.labels, np.tile(sample.labels[5], (12, 1)))


def test_pictures_come_in_the_order_of_their_names(published: Any, publish: Callable[[Any], Path]) -> None:
    dataset = create_dataset(published.dataset, publish(published), published.split)
    assert [Path(sample.name).name for sample in dataset] == ["a_1", "a_2", "b_1"] and len(dataset) == 3
    assert all(sample.image.shape == (12, 20, 3) and sample.image.dtype == np.uint8 for sample in dataset)
    red, green, blue = dataset[0].image[6, 10].tolist()
    assert abs(red - 200) < 5 and abs(green - 100) < 5 and abs(blue - 52) < 5


def test_linked_folders_are_read_as_others_are(
    tmp_path: Path, publish: Callable[[Any], Path], every_layout: tuple[Any, ...]
) -> None:
    root = publish(next(published for published in every_layout if published.dataset == "cityscapes"))
    for folder in (root / "leftImg8bit" / "val" / "ulm", root / "gtFine" / "val" / "ulm"):
        elsewhere = tmp_path / "disk" / folder.parts[-3]
        elsewhere.parent.mkdir(exist_ok=True)
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
    assert [sample.name for sample in create_dataset("cityscapes", root)] == ["ulm/a_1", "ulm/a_2", "ulm/b_1"]


def test_a_value_that_the_data_set_does_not_know_is_an_error(published: Any, publish: Callable[[Any], Path]) -> None:
    root = publish(published)
    label = root / published.label.format("a_2")
    pixels = np.array(Image.open(label))
    unknown = 900 if pixels.dtype == np.uint16 else 254
    pixels[0, 0] = unknown
    Image.fromarray(pixels).save(label)
    dataset = create_dataset(published.dataset, root, published.split)
    dataset[0]
    if published.kind == "ade20k":  # here what is not among the 847 is void
        assert dataset[1].labels[0, 0] == 847
        return
    with pytest.raises(DatasetError, match=rf"labels .*{label.name} .*does not know: {unknown}$"):
        dataset[1]


def test_a_picture_without_its_other_half_is_an_error(published: Any, publish: Callable[[Any], Path]) -> None:
    root = publish(published)
    lost = "label" if published.led_by == "picture" else "picture"
    (root / getattr(published, lost).format("a_2")).unlink()
    message = "has no labels" if lost == "label" else "has no picture"
    with pytest.raises(DatasetError, match=rf"{message}: expected .*a_2"):
        create_dataset(published.dataset, root, published.split)


@pytest.mark.parametrize("missing", ["picture", "label"])
def test_a_folder_without_pictures_or_labels_names_the_layout(
    published: Any, publish: Callable[[Any], Path], missing: str
) -> None:
    root = publish(published)
    template = getattr(published, missing)
    for name in ("a_1", "a_2", "b_1"):
        (root / template.format(name)).unlink()
    pattern = Path(template.format("*")).name.replace("*", r"\*")
    with pytest.raises(
        DatasetError, match=rf"in a known layout: expected the data set's folder, such as .* with .*{pattern}"
    ):
        create_dataset(published.dataset, root, published.split)


def test_every_layout_of_every_data_set_is_tested(every_layout: tuple[Any, ...]) -> None:
    layouts = [layout for name in list_datasets() for layout in dataset_specification(name).layouts]
    assert {published.dataset for published in every_layout} == set(list_datasets())
    assert len(every_layout) == len(layouts) + 1  # 16-bit TIFF files are tested with and without compression

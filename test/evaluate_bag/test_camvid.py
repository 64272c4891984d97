"""Labelled pictures in a bag give the figures that they give in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from errseg_model.datasets.camvid import CLASSES, VOID
from errseg_ros.evaluate_bag.main import main as evaluate_bag

# In a bag classes are held from one image to the next, which a folder cannot: kept are all, so that none is.
SMALL = ["--device", "cpu", "--input-size", "96x128", "--min-share", "0"]


def test_a_bag_of_camvid_has_the_figures_of_its_folder(shared: Path, ros: Any, tmp_path: Path) -> None:
    source = shared / "camvid" / "test"
    messages = [("/camera/label_info", ros.start, ros.label_info({**dict(enumerate(CLASSES)), VOID: ""}))]
    for kind in ("images", "labels"):
        (tmp_path / "camvid" / "test" / kind).mkdir(parents=True)
    for number, path in enumerate(sorted((source / "images").iterdir())[::30]):
        stamp = ros.start + number * 10**9
        pictures = {}
        for kind in ("images", "labels"):
            file = source / kind / path.name
            (tmp_path / "camvid" / "test" / kind / path.name).symlink_to(file)
            pictures[kind] = np.asarray(Image.open(file))
        messages.append(("/camera/image", stamp, ros.image(stamp, pictures["images"])))
        messages.append(("/camera/labels", stamp, ros.image(stamp, pictures["labels"], "mono8")))
    bag = ros.bag(messages)

    folder = tmp_path / "folder.json"
    place = ["--dataset", "camvid", "--root", str(tmp_path / "camvid"), "--json", str(folder)]
    subprocess.run([sys.executable, "-m", "errseg_model", "evaluate", *place, *SMALL], check=True, timeout=250)
    topics = ["--image-topic", "/camera/image", "--label-topic", "/camera/labels"]
    assert evaluate_bag([str(bag), *topics, "--out", str(tmp_path / "out"), *SMALL]) == 0
    expected, report = (json.loads(file.read_text()) for file in (folder, tmp_path / "out" / "report.json"))
    assert report["frames"] == expected["frames"] == 8
    assert report["iou"] == pytest.approx(expected["iou"], nan_ok=True)
    assert report["miou"] == pytest.approx(expected["miou"])
    assert report["pixel_accuracy"] == pytest.approx(expected["pixel_accuracy"])
    assert report["classes_missing_in_vocabulary"] == report["classes_missing_in_labels"] == []
    assert report["problems"] == []

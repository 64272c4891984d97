"""Write test/model/golden/errseg-lite.npz anew, after new weights were released.

Run it from the repository with `.venv/bin/python tools/make_golden.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from errseg_model import Segmenter, Vocabulary
from errseg_model.sample_drive import SampleDrive

WORDS = ["road", "sidewalk", "house, building", "sky", "car, automobile", "tree", "person", "truck", "traffic sign"]


def main() -> None:
    image = np.asarray(cv2.resize(SampleDrive(seed=0).frame(50).image, (320, 180), interpolation=cv2.INTER_AREA))
    segmenter = Segmenter.from_pretrained("errseg-lite", device="cpu")
    result = segmenter.segment([image], segmenter.encode(Vocabulary.parse(WORDS)), max_classes=5)[0]
    path = Path("test/model/golden/errseg-lite.npz")
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        path,
        image=image,
        vocabulary=json.dumps(WORDS),
        selected=result.selected,
        logits=result.logits[:, ::4, ::4],
        mask=result.mask,
    )


if __name__ == "__main__":
    main()

"""What is segmented into where nobody says otherwise."""

from __future__ import annotations

DEFAULT_VOCABULARY = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""Cityscapes, as in config/vocabularies/cityscapes.yaml."""

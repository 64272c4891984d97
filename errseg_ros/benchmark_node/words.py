"""The vocabularies that the benchmark changes between."""

from __future__ import annotations

from itertools import islice, product

from errseg_ros.default_vocabulary import DEFAULT_VOCABULARY

CITYSCAPES = DEFAULT_VOCABULARY

BACKWARDS = tuple(reversed(CITYSCAPES))
"""The same names and ids, each at another position."""

COARSE = ("drivable surface", "vehicle", "living being", "plant", "structure", "sky", "obstacle")
"""But for one, other names."""

CHINESE = ("道路", "人行道", "建筑物", "植被", "天空", "汽车", "行人")

KNOWN = (CITYSCAPES, BACKWARDS, COARSE, CHINESE)
"""Neighbours differ, also the last from the first."""

_ADJECTIVES = (
    "red", "green", "blue", "white", "black", "grey", "yellow", "small", "large", "old", "new", "wet", "dry", "parked",
    "moving", "broken", "wooden", "metal", "striped", "round", "tall", "short", "dirty", "shiny", "distant",
)  # fmt: skip
_NOUNS = (
    "car", "bus", "truck", "van", "tram", "bicycle", "scooter", "person", "dog", "cat", "tree", "bush", "pole", "sign",
    "traffic light", "fence", "wall", "house", "bridge", "tunnel", "road", "kerb", "puddle", "manhole cover",
    "speed bump", "barrier", "cone", "bollard", "bench", "bin", "hydrant", "mailbox", "billboard", "awning", "railing",
    "stairs", "gate", "trailer", "stroller", "suitcase",
)  # fmt: skip

NEW = tuple(f"{adjective} {noun}" for adjective, noun in islice(product(_ADJECTIVES, _NOUNS), 1000))
"""1000 names that no node has seen."""

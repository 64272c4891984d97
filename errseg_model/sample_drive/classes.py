"""The classes of the sample drive: ids and names of the eleven CamVid classes."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """Class id of a pixel."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    PAVEMENT = 4
    TREE = 5
    SIGN = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    BICYCLIST = 10


CLASSES: tuple[str, ...] = tuple(label.name.lower() for label in Label)
VOID = 11

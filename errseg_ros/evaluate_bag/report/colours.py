"""The colour of each class, the same everywhere in the report."""

from __future__ import annotations

from errseg_model.visualization import palette
from errseg_ros.evaluate_bag.results import Evaluation

Colour = tuple[int, int, int]

UNLABELLED: Colour = (0, 0, 0)
"""Of pixels without a class in masks and labels."""
OTHERS: Colour = (208, 213, 219)
"""Of classes that are shown as one."""


def class_colours(evaluation: Evaluation) -> dict[str, Colour]:
    """RGB by name: that of the pictures shown, else that of the first vocabulary that has the class."""
    colours: dict[str, Colour] = {}
    for exhibit in (*evaluation.worst, *evaluation.best):
        for name, colour in exhibit.colours.items():
            colours.setdefault(name, colour)
    for period in evaluation.vocabularies:
        for name, (red, green, blue) in zip(period.vocabulary.names, palette(period.vocabulary).tolist(), strict=True):
            colours.setdefault(name, (red, green, blue))
    return colours


def css(colour: Colour) -> str:
    """As CSS and SVG write it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)

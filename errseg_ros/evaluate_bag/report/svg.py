"""Charts as SVG inside the page."""

from __future__ import annotations

import re
import warnings
from io import StringIO
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 14.0
"""Inches of 72 units; the page shows a unit as about a pixel."""
INK = "#1c2733"
SOFT = "#5b6875"
GRID = "#dfe4ea"
ACCENT = "#1f6f9f"
BAND = "#b9d6e6"

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "errseg",  # the same figures give the same page
    "svg.fonttype": "none",  # text stays text: any script, in the reader's fonts
    "font.family": ["DejaVu Sans"],  # ships with matplotlib; the page's style replaces it
    "font.size": 12.0,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 12.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
_ID = re.compile(r'(\bid="|url\(#|href="#)')


styled = rc_context(_STYLE)
"""Decorates a function that draws a chart."""


def figure(height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `WIDTH` by `height` inches, with axes below each other that share x."""
    drawn = Figure(figsize=(WIDTH, height), layout="constrained")
    return drawn, list(drawn.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def plain(text: str, length: int = 24) -> str:
    """A name on one line, cut where it is too long for a chart."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def to_svg(drawn: Figure, name: str, description: str) -> Markup:
    """The figure as an element of the page. `name` is a token of its own among the page's charts."""
    content = StringIO()
    with warnings.catch_warnings():
        # matplotlib measures text in its own font; the reader's has the character, or shows that it does not.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*does not support.*", category=UserWarning)
        drawn.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = _ID.sub(rf"\g<1>{name}-", text)  # the charts of a page have ids of their own
    label = f'<svg role="img" aria-label="{escape(description)}" '
    return Markup(text.replace("<svg ", label, 1))

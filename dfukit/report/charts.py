"""Charts as inline SVG, in the page's own colours, with a text for those who cannot see them."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from attrs import frozen
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SIZE = (4.6, 3.1)
"""Inches; at 72 points each a chart fits on a phone without shrinking much."""
MARGINS = {"left": 23, "right": 18, "bottom": 38, "top": 17}
"""Points around the axes: on the left for the label of the axis alone, at the top for a power of ten.

A layout that matplotlib works out costs more than all the rest of a chart.
"""
LETTER = 7.0
"""Points for each character of a tick label; matplotlib's own font needs 6.7 at its widest, a minus apart."""
POINTS = 300
"""Points of a curve at most."""
INK = "#010203"
FAINT = "#040506"
SERIES = ("#070809", "#0a0b0c", "#0d0e0f")
COLOURS = {INK: "var(--ink)", FAINT: "var(--line)"} | {
    colour: f"var(--series-{place})" for place, colour in enumerate(SERIES, 1)
}
"""Colours that matplotlib is told, and what the page makes of them in light and in dark."""
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)))
STYLE: Any = {
    "font.size": 10.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "dfukit",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "axes.formatter.limits": (-3, 5),
    "axes.formatter.useoffset": False,
}


@frozen(eq=False)
class Curve:
    """y [N] over x [N]."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray


@frozen
class Chart:
    """An SVG with its heading and a line under it."""

    title: str
    svg: Markup
    note: str


def lines(
    title: str, curves: Sequence[Curve], x_label: str, y_label: str, note: str = "", mark: float | None = None
) -> Chart:
    """Curves over steps or epochs; `mark` is where the kept weights come from."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(x_label, y_label)
        for place, curve in enumerate(curves):
            every = -(-len(curve.x) // POINTS)
            axes.plot(
                curve.x[::every], curve.y[::every], marker="o" if len(curve.x) < 3 else "", **_line(place, curve.name)
            )
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=0.8, linestyle=":")
        if len(curves) > 1:
            axes.legend(loc="best")
        about = "; ".join(
            f"{curve.name} from {curve.y[0]:.3g} at {curve.x[0]:g} to {curve.y[-1]:.3g} at {curve.x[-1]:g}"
            for curve in curves
        )
        return Chart(title, _svg(figure, f"Curve, {title}: {about}"), note)


def roc(title: str, curves: Sequence[Curve], note: str) -> Chart:
    """True over false positive rate, and the diagonal of chance."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure("false positive rate", "true positive rate", square=True)
        axes.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=":", label="chance")
        for place, curve in enumerate(curves):
            axes.plot(curve.x, curve.y, **_line(place, curve.name))
        axes.legend(loc="lower right")
        return Chart(title, _svg(figure, f"ROC curves: {'; '.join(curve.name for curve in curves)}"), note)


def reliability(title: str, curve: Curve, counts: Sequence[int], note: str) -> Chart:
    """The share of positives over the mean score of each bin, the number of pictures above each point."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure("mean calibrated score", "share of positives", square=True)
        axes.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=":", label="perfect")
        axes.plot(curve.x, curve.y, marker="o", markersize=5, **_line(0, curve.name))
        for x, y, number in zip(curve.x, curve.y, counts, strict=True):
            axes.annotate(str(number), (x, y), (0, 5), textcoords="offset points", ha="center", va="bottom")
        axes.legend(loc="best")
        points = zip(curve.x, curve.y, counts, strict=True)
        about = ", ".join(f"{y:.2f} at a score of {x:.2f} ({n} pictures)" for x, y, n in points)
        return Chart(title, _svg(figure, f"Reliability diagram of {curve.name}; share of positives: {about}"), note)


def _figure(x_label: str, y_label: str, square: bool = False) -> tuple[Figure, Axes]:
    figure = Figure(SIZE if not square else (SIZE[0], SIZE[0]))
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if square:
        axes.set_xlim(-0.04, 1.04)
        axes.set_ylim(-0.04, 1.12)
    return figure, axes


def _line(place: int, name: str) -> dict[str, Any]:
    return {"label": name, "color": SERIES[place % 3], "linestyle": DASHES[place % 3], "linewidth": 1.6}


def _arrange(figure: Figure) -> None:
    """Margins that leave room for the axis labels and for the longest tick label of the upright axis."""
    width, height = figure.get_size_inches() * 72
    right, bottom, top = 1 - MARGINS["right"] / width, MARGINS["bottom"] / height, 1 - MARGINS["top"] / height
    figure.subplots_adjust(right=right, bottom=bottom, top=top)  # the height decides how many ticks there are
    (axes,) = figure.axes
    ticks = axes.yaxis.get_major_formatter().format_ticks(axes.yaxis.get_majorticklocs().tolist())
    figure.subplots_adjust(left=(MARGINS["left"] + LETTER * max(map(len, ticks), default=0)) / width)


def _svg(figure: Figure, alt: str) -> Markup:
    """The SVG element alone: scalable, named, its colours the page's, its ids its own."""
    _arrange(figure)
    buffer = io.BytesIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1
    )
    text = re.sub(r' xmlns:xlink="[^"]*"| xmlns="[^"]*"| version="1.1"', "", text).replace("xlink:href", "href")
    for colour, variable in COLOURS.items():
        text = text.replace(colour, variable)
    own = f"c{zlib.crc32(alt.encode()):x}-"
    text = re.sub(r'\bid="', f'id="{own}', text)
    text = text.replace("url(#", f"url(#{own}").replace('href="#', f'href="#{own}')
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1).strip())

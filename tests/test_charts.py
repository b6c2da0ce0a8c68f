"""The charts of a report: whatever is drawn, nothing of it is cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from markupsafe import Markup
from matplotlib.textpath import TextPath

from dfukit.report.charts import Chart, Curve, lines, reliability, roc

TEXT = re.compile(
    r'<text style="font-size: ([\d.]+)px;[^"]*text-anchor: (\w+)[^>]*transform="rotate\((\S+) (\S+) (\S+)\)">([^<]*)<'
)
STEPS = np.arange(1, 2001) * 50
FALL = np.exp(-STEPS / 20000)
LABEL = "score, real − synthetic"


def extreme() -> Iterator[Chart]:
    """Charts with large, small, negative and nearly equal values, long names and many pictures."""
    both = FALL, -99999 * FALL, 98765.4 + FALL / 1e3, -1234.5 + FALL / 1e5, 1e30 * FALL, -1e-30 * FALL, 0 * FALL
    for y in both:
        yield lines("", [Curve("critic", STEPS, y), Curve("real+synthetic x2, all", STEPS, y)], LABEL, LABEL, mark=9e4)
    yield lines("", [Curve("loss", STEPS[:1], FALL[:1])], LABEL, LABEL)
    yield lines("", [Curve("loss", STEPS * 1000, FALL)], LABEL, LABEL)
    yield roc("", [Curve("real+synthetic", (0, 1), (0, 1)), Curve("real+synthetic x2, all", (0, 1), (0, 1))], "")
    yield reliability("", Curve("real+synthetic x2, all", (0, 0.5, 1), (1, 0, 1)), (99999, 3, 99999), "")


def texts(svg: Markup) -> Iterator[tuple[str, float, float, float, float]]:
    """Each text with its left, top, right and bottom, in the font that matplotlib lays it out in."""
    found = TEXT.findall(svg)
    assert len(found) == svg.count("<text") > 5
    for size, anchor, turned, x, y, text in found:
        box = TextPath((0, 0), text, size=float(size)).get_extents()
        before = {"start": 0.0, "middle": box.width / 2, "end": box.width}[anchor]
        if float(turned) == -90:
            yield text, float(x) - box.y1, float(y) - box.width + before, float(x) - box.y0, float(y) + before
        else:
            yield text, float(x) - before, float(y) - box.y1, float(x) + box.width - before, float(y) - box.y0


def test_no_text_of_a_chart_sticks_out_of_it() -> None:
    for chart in extreme():
        view = re.search(r'viewBox="0 0 (\S+) (\S+)"', chart.svg)
        assert view
        width, height = map(float, view.groups())
        for text, left, top, right, bottom in texts(chart.svg):
            assert 0 <= left < right <= width, text
            assert 0 <= top < bottom <= height, text

"""Lines for a terminal of any width and height, the most important ones kept; curves and bars of characters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise

from attrs import define, field, frozen
from rich.console import OverflowMethod
from rich.text import Text

from dfukit.monitor.series import mean

NAMES = 16
"""Width of the column of names."""
VALUES = 10
"""Width of the column of values."""
WIDEST = 100
"""Beyond it, a value would lie too far from its name."""
STRETCH = 4
"""Characters that a point of a curve fills at most."""
FIRST, HIGH, MIDDLE, LOW, AIR = range(5)
"""What goes first where the terminal is short: empty lines, then what is LOW, and so on."""


@frozen
class Glyphs:
    """What curves and bars are made of."""

    steps: str
    done: str
    left: str
    unknown: str
    ellipsis: str


UNICODE = Glyphs("▁▂▃▄▅▆▇█", "━", "─", "–", "…")
ASCII = Glyphs("_.-=+*%#", "=", ".", "-", "")


@define
class Page:
    """Lines with their weight."""

    width: int
    glyphs: Glyphs
    _lines: list[tuple[int, Text]] = field(factory=list)

    @property
    def _overflow(self) -> OverflowMethod:
        return "ellipsis" if self.glyphs.ellipsis else "crop"

    @property
    def column(self) -> int:
        return min(self.width, WIDEST)

    @property
    def names(self) -> int:
        """Width of the column of names."""
        return min(NAMES, max(self.width - VALUES, 0))

    @property
    def room(self) -> int:
        """Width between names and values."""
        return max(self.column - NAMES - VALUES, 0)

    def add(self, weight: int, line: Text) -> None:
        line.truncate(self.width, overflow=self._overflow)
        self._lines.append((weight, line))

    def blank(self) -> None:
        if self._lines and self._lines[-1][0] != AIR:
            self.add(AIR, Text())

    def row(self, weight: int, name: str, middle: Text, value: str, style: str = "") -> None:
        """A name, something as wide as there is room, and a value."""
        middle.truncate(self.room, pad=True)
        shown = Text(name)
        shown.truncate(max(self.names - 1, 0), overflow=self._overflow)
        shown.truncate(self.names, pad=True)
        self.add(weight, Text.assemble(shown, middle, (f"{value:>{VALUES}}", style)))

    def flow(self, weight: int, items: Iterable[tuple[str, str]], indent: int = 0) -> None:
        """Items (text, style) in lines that break only between them."""
        line = Text(" " * indent)
        empty = True
        for text, style in items:
            if not empty and line.cell_len + 3 + len(text) > self.width:
                self.add(weight, line)
                line, empty = Text(" " * indent), True
            line.append("" if empty else "   ").append(text, style)
            empty = False
        if not empty:
            self.add(weight, line)

    def words(self, weight: int, text: str, style: str, most: int = 3) -> None:
        """A text in at most `most` lines, the first of its own weight and the others LOW."""
        wrapped = textwrap.wrap(
            text,
            max(self.width, 3),
            subsequent_indent="  ",
            max_lines=most,
            placeholder=self.glyphs.ellipsis,
            break_on_hyphens=False,  # paths and options are copied
        )
        for place, line in enumerate(wrapped):
            self.add(weight if place == 0 else max(weight, LOW), Text(line, style))

    def lines(self, height: int | None) -> list[Text]:
        """At most `height` of them: the heaviest weights go first, from the bottom."""
        kept = list(self._lines)
        while height is not None and len(kept) > max(height, 1):
            heaviest = max(weight for weight, _ in kept)
            del kept[max(place for place, (weight, _) in enumerate(kept) if weight == heaviest)]
        return [line for _, line in kept]


def sparkline(points: Sequence[float], width: int, glyphs: str = UNICODE.steps) -> str:
    """A curve of at most `width` characters. Many points share one, as their mean; few are stretched, so that the
    curves of rare and of frequent figures lie above each other in time.

    The scale leaves out the highest and the lowest twentieth: the first values of a training would press the rest flat.
    """
    if not points or width < 1:
        return ""
    count = min(len(points) * STRETCH, width)
    cuts = [len(points) * place // count for place in range(count + 1)]
    means = [mean(points[start : max(end, start + 1)]) for start, end in pairwise(cuts)]
    ordered = sorted(means)
    out = len(ordered) // 20
    low, high = ordered[out], ordered[-1 - out]
    if not high > low:
        return glyphs[len(glyphs) // 2 - 1] * len(means)
    shares = (min(max((value - low) / (high - low), 0.0), 1.0) for value in means)
    return "".join(glyphs[round(share * (len(glyphs) - 1))] for share in shares)

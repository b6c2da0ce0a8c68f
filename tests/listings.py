"""Listings of Markdown pages: what they say to type, and what they say comes out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w./-]+\.(?:py|toml))`")
HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")
ANYTHING = "…"
"""In shown output: any text of a line; alone on a line, any number of lines."""


@frozen
class Listing:
    """A fenced block of a page."""

    language: str
    text: str
    file: str
    """The file that was named last before it, or nothing."""


@frozen
class Command:
    """A command of a console listing, and the lines that are shown to come out."""

    text: str
    shown: tuple[str, ...] = field(default=())

    @property
    def fails(self) -> bool:
        """Whether its end is shown as an error."""
        return bool(self.shown) and self.shown[-1].startswith("Error: ")


def listings(page: Path) -> Iterator[Listing]:
    """The fenced blocks of a page, in order."""
    text, end = page.read_text("utf-8"), 0
    for found in FENCE.finditer(text):
        named = NAMED.findall(text[end : found.start()])
        yield Listing(found[1].strip(), found[2], named[-1] if named else "")
        end = found.end()


def commands(console: str) -> Iterator[Command]:
    """The commands of a console listing: what follows `$ `, with the lines that belong to it, then what is shown."""
    lines = console.splitlines()
    while lines:
        line = lines.pop(0)
        assert line.startswith("$ "), f"a console listing begins with a command: {line}"
        typed = [line[2:]]
        while lines and _goes_on("\n".join(typed)):
            typed.append(lines.pop(0))
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        yield Command("\n".join(typed), tuple(shown))


def matches(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the printed lines are those shown, where `…` stands for anything."""
    if not shown:
        return not printed
    if shown[0] == ANYTHING:
        return any(matches(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    pattern = ".*".join(re.escape(part) for part in shown[0].rstrip().split(ANYTHING))
    return bool(printed) and bool(re.fullmatch(pattern, printed[0].rstrip())) and matches(shown[1:], printed[1:])


def _goes_on(typed: str) -> bool:
    if (heredoc := HEREDOC.search(typed)) is not None:
        return typed.splitlines()[-1] != heredoc[1]
    if typed.endswith("\\"):
        return True
    try:
        shlex.split(typed, comments=True)
    except ValueError:  # an open quote
        return True
    return False

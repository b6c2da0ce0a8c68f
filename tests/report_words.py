"""What a written report says, as words."""

from __future__ import annotations

from html.parser import HTMLParser

from attrs import evolve
from report_folder import Finished

from dfukit import report


class Text(HTMLParser):
    """The words of a page, without style, as one line."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("style", "svg")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "svg")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)

    def __str__(self) -> str:
        return " ".join("".join(self.words).split())


def written(run: Finished, share: bool = False) -> str:
    report.write(run.folder, run.config, run.images, run.split, share)
    return run.folder.report.read_text("utf-8")


def words(run: Finished, share: bool = False) -> str:
    return str(Text(written(run, share)))


def as_photographs(run: Finished) -> Finished:
    """The same pictures, taken for photographs of patients."""
    return evolve(run, images=evolve(run.images, phantom=False, name="clinic_archive"))

"""The report of a run, one self-contained HTML file, and its model card. Nothing here imports torch."""

from __future__ import annotations

from dfukit import rundir
from dfukit.config import RunConfig
from dfukit.images import ImageSet, Split
from dfukit.report import page
from dfukit.report.facts import read_facts
from dfukit.report.privacy import Redaction
from dfukit.rundir import RunDir

__all__ = ["is_shared", "put", "render", "write"]


def write(folder: RunDir, config: RunConfig, images: ImageSet, split: Split, share: bool) -> None:
    """Write report.html and README.md (the model card) from what the run folder holds.

    What a step did not write is named on the page as missing. `share` leaves out real pixels, file names, paths,
    patients and the host; the model card never holds any. Raises DataError for a file of the run that cannot be read.
    """
    put(folder, *render(folder, config, images, split, share))


def put(folder: RunDir, html: str, card: str) -> None:
    """Write what `render` gave."""
    rundir.write_text(folder.report, html)
    rundir.write_text(folder.model_card, card)


def is_shared(folder: RunDir) -> bool:
    """Whether the page that is there was made to be shared: what writes it anew must not show real pixels."""
    return folder.report.is_file() and page.SHARED in folder.report.read_text("utf-8")


def render(
    folder: RunDir, config: RunConfig, images: ImageSet, split: Split, share: bool, classifier: bool = True
) -> tuple[str, str]:
    """The report as HTML and the model card as Markdown, as `write` writes them, for another place.

    Where that place goes without the classifier's weights, the card offers none.
    """
    facts = read_facts(folder, images)
    private = Redaction.of_run(folder, config, images)
    html = page.report(folder, config, images, split, facts, private, share)
    return html, page.model_card(folder, config, images, split, facts, private, classifier)

"""How often the test part was looked at, and what the classifier did on the pictures of other places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from dfukit import provenance, rundir
from dfukit.report.answers import Cell, rows
from dfukit.rundir import RunDir

EARLIER = "these are figures of an earlier classifier of this run: dfukit evaluate judges the present one"


@frozen
class Place:
    """The pictures of another place, with the figures on them."""

    name: str
    pictures: int
    patients: int
    who: str
    """What is counted: "patient", or "group" where patients are not known."""
    look: str
    figures: Sequence[tuple[str, Cell]]
    warnings: Sequence[str]


def look(classification: Mapping[str, Any] | None) -> str | None:
    """ "first look"; None for figures that were made before looks were counted."""
    return ((classification or {}).get("look") or {}).get("text")


def places(folder: RunDir) -> list[Place]:
    """What `dfukit evaluate` wrote into a run, by file name; figures of a classifier that is gone are named so."""
    found = []
    weights = folder.classifier_weights
    now = provenance.file_sha256(weights) if weights.is_file() else None
    for path in sorted(folder.path.glob(folder.evaluation("*").name)):
        table = rundir.read_json(path)
        who = "patient" if table["patients_known"] else "group"
        figures = [(name, cells[0]) for name, cells in rows(table, who)]
        counts = table["pictures"], table["patients"], who
        stale = [] if table["classifier"]["weights"] == now else [EARLIER]
        found.append(Place(table["name"], *counts, table["look"]["text"], figures, [*stale, *table["warnings"]]))
    return found

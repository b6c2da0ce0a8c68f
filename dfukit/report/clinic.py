"""What a clinic asks of a classifier: its operating point, for whom it works, and whom the generator draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dfukit.clinical import skin
from dfukit.images.columns import NOT_GIVEN
from dfukit.report.answers import Cell, cell
from dfukit.report.facts import Facts, Table
from dfukit.report.numbers import fixed, interval, percent, plural

POINT = {
    "tpr": "True positive rate (sensitivity)",
    "fpr": "False positive rate (1 − specificity)",
    "ppv": "Positive predictive value (PPV)",
    "npv": "Negative predictive value (NPV)",
}
GROUP = {"auroc": "AUROC", "tpr": "TPR", "fpr": "FPR"}
LAST = (skin.NO_ESTIMATE, NOT_GIVEN)


@frozen
class Points:
    """Operating points: the arms that have one, their thresholds in words, and their figures by name."""

    arms: Sequence[str]
    thresholds: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    about: str
    missing: Sequence[str]
    """Why arms have none."""


@frozen
class Group:
    """One arm on the pictures of one value."""

    value: str
    arm: str
    cells: Sequence[Cell]
    n: str
    note: str


@frozen
class Subgroups:
    """A column and its groups. `estimated` where the column is the skin tone that was read from the pictures."""

    column: str
    groups: Sequence[Group]
    estimated: bool


@frozen
class Tone:
    """A bin of the skin tone: its share among training and synthetic pictures."""

    name: str
    training: Cell
    synthetic: Cell
    fewer: bool


@frozen
class Clinic:
    """All of it, as the page shows it."""

    warnings: Sequence[str]
    points: Points | None
    subgroups: Sequence[Subgroups]
    left_out: int
    """Further columns that a shared page does not show."""
    tones: Sequence[Tone]
    tones_of: str


def read_clinic(facts: Facts, who: str, share: bool) -> Clinic:
    """`who` a part consists of: "patient" or "group". Of a shared page's columns only the skin tone is read."""
    classification = facts.classification or {}
    columns: Table = classification.get("subgroups", {})
    shown = [name for name in sorted(columns) if name == skin.COLUMN or not share]
    found = facts.skin_tones or {}
    return Clinic(
        warnings=list(classification.get("warnings", [])),
        points=_points(classification, who),
        subgroups=[_subgroups(name, columns[name], who) for name in shown],
        left_out=len(columns) - len(shown),
        tones=_tones(found),
        tones_of="" if not found else _tones_of(found, who),
    )


def _points(classification: Table, who: str) -> Points | None:
    points = {
        arm: run["operating_point"] for arm, run in classification.get("runs", {}).items() if "operating_point" in run
    }
    if not points:
        return None
    known = {arm: point for arm, point in points.items() if point["threshold"] is not None}
    first = next(iter(points.values()))
    about = f"Chosen on the validation part to reach a sensitivity of {percent(first['target_sensitivity'])}."
    if first["prevalence"] is not None:
        origin = "the test part's own" if first["prevalence_of"] == "test" else "stated in the settings"
        about += f" PPV and NPV at a prevalence of {percent(first['prevalence'])}, {origin}."
    return Points(
        arms=list(known),
        thresholds=[_threshold(point) for point in known.values()],
        rows=[(name, [cell(point["figures"][key], who) for point in known.values()]) for key, name in POINT.items()],
        about=about,
        missing=[f"{arm}: {point['reason']}" for arm, point in points.items() if point["threshold"] is None],
    )


def _threshold(point: Table) -> str:
    reached = point["validation"]
    return (
        f"{fixed(point['threshold'])} and above; it reached {percent(reached['sensitivity'])} of "
        f"{plural(reached['n'], 'positive validation picture')}"
    )


def _subgroups(column: str, values: Table, who: str) -> Subgroups:
    order = [*skin.BINS] if column == skin.COLUMN else sorted(set(values) - set(LAST))
    groups = [
        Group(
            value=value,
            arm=arm,
            cells=[cell(one[key], who) for key in GROUP],
            n=f"{plural(one['n'], 'picture')} of {plural(one['patients'], who)}",
            note=one.get("note", "").replace("patient", who),
        )
        for value in (*order, *LAST)
        if value in values
        for arm, one in values[value].items()
    ]
    estimated = column == skin.COLUMN
    return Subgroups("Skin tone, estimated" if estimated else column, groups, estimated)


def _tones(found: Table) -> list[Tone]:
    if not found or not found["training"]["shares"] or not found["synthetic"]["shares"]:
        return []
    real, synthetic = (found[part]["shares"] for part in ("training", "synthetic"))
    return [Tone(name, _share(real[name]), _share(synthetic[name]), name in found["fewer"]) for name in skin.BINS]


def _share(entry: Any) -> Cell:
    return Cell(percent(entry["value"]), interval(entry["interval"], percent), plural(entry["n"], "picture"))


def _tones_of(found: Table, who: str) -> str:
    real, synthetic = found["training"], found["synthetic"]
    return (
        f"{plural(real['n'], 'training picture')} of {plural(real['patients'], who)} and "
        f"{plural(synthetic['n'], 'synthetic picture')} with an estimate, of {real['looked_at']:,} and "
        f"{synthetic['looked_at']:,} that were looked at."
    )

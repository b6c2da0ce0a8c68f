"""Whether the synthetic pictures help, by the experiment with folds and seeds (lift.json)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from dfukit.report.answers import Verdict
from dfukit.report.facts import Table
from dfukit.report.numbers import count, fixed, interval, percent, plural, signed

ARMS = {
    "real": "real pictures",
    "real+augmentation": "real pictures, augmented",
    "real+synthetic": "real and synthetic pictures",
    "synthetic": "synthetic pictures",
    "mirror": "real pictures, tested on synthetic ones",
}
FIGURES = ("auroc", "recall", "log_loss")
LISTED = 20
"""Pictures that look mislabelled, listed at most."""
SENTENCES = {
    "better": ("better", "Yes: with synthetic pictures, AUROC on other patients is higher."),
    "worse": ("worse", "No: with synthetic pictures, AUROC on other patients is lower."),
    "too few patients to tell": ("open", "Too few patients to tell."),
}


@frozen
class Figure:
    """A figure and its interval as texts."""

    value: str
    interval: str


@frozen
class Row:
    """An arm, or one arm against another."""

    name: str
    exploratory: bool
    cells: Sequence[Figure]


@frozen
class Lift:
    """The experiment as the page shows it."""

    verdict: Verdict
    about: str
    generator: str
    headings: Sequence[str]
    arms: Sequence[Row]
    differences: Sequence[Row]
    labels: Sequence[str]
    mislabelled: Sequence[str]


def read_lift(table: Table | None, who: str, share: bool, clean: Callable[[str], str]) -> Lift | None:
    """None where the experiment was not made. `who`: "patient", or "group" where patients are not known.

    On a page that is made to be shared no picture is named.
    """
    if table is None:
        return None
    design, of = table["design"], table["difference"]
    margin = f"{design['margin']:g}"
    kind, sentence = SENTENCES.get(
        str(table["answer"]), ("none", f"No difference of AUROC larger than {margin}, on other patients.")
    )
    detail = f"AUROC {_difference(of).value} ({_difference(of).interval}), {plural(of['patients'], who)}"
    if kind == "open" and of["interval"]:
        detail += _needed(table, who)
    return Lift(
        verdict=Verdict(kind, sentence, f"{detail}."),
        about=(
            f"{plural(design['folds'], 'fold')} by {who}, {plural(design['seeds'], 'seed')}, "
            f"{count(min(design['steps']))} steps for every arm, classifier {design['classifier']}, "
            f"{design['ratio']:g} synthetic pictures for each real one. The interval covers {of['covers']}."
        ),
        generator=clean(design["generator"][:1].upper() + design["generator"][1:]),
        headings=("AUROC", f"Recall at {percent(design['specificity'])} specificity", "Log loss"),
        arms=[Row(_named(name), one["exploratory"], _figures(one)) for name, one in table["arms"].items()],
        differences=[
            Row(
                f"{_named(one['arm'])} − {_named(one['against'])}",
                one["exploratory"],
                [_difference(one[figure]) for figure in FIGURES],
            )
            for one in table["differences"]
        ],
        labels=_labels(table),
        mislabelled=[]
        if share
        else [f"{one['path']}: looks like {one['looks_like']}" for one in table["labels"]["real"]["pictures"][:LISTED]],
    )


def _needed(table: Table, who: str) -> str:
    """What it would take to tell."""
    design, needed = table["design"], table["patients_needed"]
    margin = f"{design['margin']:g}"
    if needed is None:
        told = (
            f"; with {plural(design['seeds'], 'seed')} no number of {who}s would settle it (margin {margin}), if the "
            "difference stays, and the seeds spread as these do: it takes more of these"
        )
    else:
        told = (
            f"; about {plural(needed, who)} would settle it (margin {margin}), if the difference stays, and they and "
            "the seeds spread as these do"
        )
    more_seeds = "; most of its width comes from the seeds, of which more come first"
    return told + more_seeds * bool(table["more_seeds_first"])


def _labels(table: Table) -> list[str]:
    real, synthetic = table["labels"]["real"], table["labels"]["synthetic"]
    lines = [
        f"{count(real['flagged'])} of {plural(real['n'], 'real picture')} look mislabelled; nothing was changed",
        f"{count(sum(synthetic['flagged']))} of {plural(sum(synthetic['n']), 'synthetic picture')}, over all folds, do "
        f"not look like their class; {count(sum(synthetic['set_aside']))} were set aside",
    ]
    if table["leaked"]:
        shown = len({one["path"] for one in table["leaked"]})
        lines.append(f"{plural(shown, 'synthetic picture')} nearly show a real one")
    return lines


def _named(arm: str) -> str:
    base, _, ratio = arm.partition(" x")
    return f"{ARMS.get(base, base)}{f', ratio {ratio}' if ratio else ''}"


def _figures(arm: Table) -> list[Figure]:
    return [
        Figure("–", "")
        if (one := arm[name])["value"] is None
        else Figure(fixed(one["value"]), interval(one["interval"], fixed))
        for name in FIGURES
    ]


def _difference(one: Table) -> Figure:
    if one["value"] is None:
        return Figure("–", "")
    return Figure(signed(one["value"]), interval(one["interval"], signed))

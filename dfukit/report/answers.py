"""Do the synthetic pictures help? The two classifiers, their difference, and what it says in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from sklearn.metrics import roc_curve

from dfukit.report import charts
from dfukit.report.charts import Chart, Curve
from dfukit.report.facts import Facts, Table, Tested
from dfukit.report.numbers import count, fixed, interval, plural, signed

NAMES = {
    "auroc": "AUROC",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "tpr": "True positive rate (TPR)",
    "fpr": "False positive rate (FPR)",
    "ece": "Calibration error (ECE)",
    "brier": "Brier score",
    "log_loss": "Log loss",
}
CHANCE = 0.5
MANY_BINS, FEW_BINS = 10, 5
ENOUGH_FOR_MANY = 100
"""Test pictures from which a reliability diagram has many bins."""


@frozen
class Cell:
    """A figure with its interval, and what it was computed from or why it is missing."""

    value: str
    interval: str
    about: str


@frozen
class Verdict:
    """A word for the colour ("better", "worse", "open", "none"), a sentence, and the difference behind it."""

    kind: str
    sentence: str
    detail: str


@frozen
class Confusion:
    """Test pictures of one arm: counts by what they are and what they were called."""

    arm: str
    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int


def verdict(facts: Facts, classes: Sequence[str], who: str, clean: Callable[[str], str]) -> Verdict:
    """What the AUROC of the two arms says; `who` the test part consists of: "patient" or "group".

    `clean` goes over texts of the run.
    """
    if facts.classification is None:
        why = (
            f"there is one class only ({classes[0]}), so no classifier was trained"
            if len(classes) == 1
            else "no classifier was trained in this run (`dfukit classify` does it)"
        )
        return Verdict("none", f"This run cannot say: {why}.", "")
    difference: Table | None = (facts.classification.get("difference") or {}).get("auroc")
    if difference is None:
        why = clean("; ".join(map(str, (facts.classification.get("arms_left_out") or {}).values())))
        detail = f"{why[:1].upper()}{why[1:]}." if why else ""
        return Verdict(
            "none", "This run cannot say: only the classifier without synthetic pictures was trained.", detail
        )
    value, bounds = difference.get("value"), difference.get("interval")
    tested = f"{plural(difference.get('patients', 0), f'test {who}')} ({plural(difference.get('n', 0), 'picture')})"
    if value is None or bounds is None:
        detail = "" if value is None else f"AUROC difference {signed(value)} on {tested}."
        return Verdict("none", f"This run cannot say: {_reason(difference, who)}.", detail)
    detail = f"AUROC difference {signed(value)}, 95% interval {interval(bounds, signed)}."
    if bounds[0] > 0:
        return Verdict(
            "better", f"Yes: with synthetic pictures the classifier tells the classes apart better on {tested}.", detail
        )
    if bounds[1] < 0:
        return Verdict(
            "worse", f"No: with synthetic pictures the classifier tells the classes apart worse on {tested}.", detail
        )
    detail += " Any true difference in that interval would look like this."
    if not any(_beats_chance(run) for run in facts.classification["runs"].values()):
        detail += " Neither classifier can be told from guessing (AUROC 0.5), so this says little about the pictures."
    return Verdict("open", f"No difference can be seen with {tested}.", detail)


def steps(classification: Table | None) -> str:
    """How many steps the arms made, in words: each ends by its own patience."""
    made = [one["steps"] for one in (classification or {}).get("training", {}).values() if "steps" in one]
    return "equally many steps" if len(set(made)) < 2 else f"{' and '.join(count(one) for one in made)} steps"


def _beats_chance(run: Table) -> bool:
    bounds = run.get("auroc", {}).get("interval")
    return bool(bounds) and bounds[0] > CHANCE


def arms(classification: Table | None) -> list[str]:
    return list((classification or {}).get("runs", {}))


def rows(classification: Table | None, who: str) -> list[tuple[str, list[Cell]]]:
    """The figures of each arm, by name, in the order of `NAMES`; further ones behind."""
    runs: Mapping[str, Mapping[str, Any]] = (classification or {}).get("runs", {})
    names = dict.fromkeys([*NAMES, *(name for run in runs.values() for name in run)])
    found = []
    for name in names:
        figures = [run.get(name) for run in runs.values()]
        if any(isinstance(entry, dict) and "value" in entry for entry in figures):
            found.append((NAMES.get(name, name), [cell(entry, who) for entry in figures]))
    return found


def cell(entry: Any, who: str) -> Cell:
    """A figure of classification.json; a dash with the reason where it has no value."""
    if not isinstance(entry, dict) or entry.get("value") is None:
        return Cell("–", "", _reason(entry, who) or "not computed")
    about = plural(entry["n"], "picture")
    if "patients" in entry:
        about += f" of {plural(entry['patients'], who)}"
    if band := entry.get("calibrated_band"):
        about += f"; a perfectly calibrated model: {interval(band, fixed)}"
    if reason := _reason(entry, who):
        about += f"; {reason}"
    return Cell(fixed(entry["value"]), interval(entry.get("interval"), fixed), about)


def _reason(entry: Any, who: str) -> str:
    return str((entry or {}).get("reason") or "").replace("patient", who)


def confusions(classification: Table | None) -> list[Confusion]:
    """Counts of test pictures for each arm."""
    return [Confusion(arm, **counts) for arm, counts in (classification or {}).get("confusion", {}).items()]


def plots(tested: Mapping[str, Tested]) -> list[Chart]:
    """ROC of all arms and the reliability of each; nothing where the test part has one class only."""
    if not tested or any(len(np.unique(said.labels)) < 2 for said in tested.values()):
        return []
    first = next(iter(tested.values()))
    n = f"{count(first.labels.sum())} positive and {count((~first.labels).sum())} negative test pictures"
    bins = MANY_BINS if len(first.labels) >= ENOUGH_FOR_MANY else FEW_BINS
    rates = [Curve(arm, *roc_curve(said.labels, said.scores)[:2]) for arm, said in tested.items()]
    drawn = [charts.roc("ROC", rates, f"n: {n}.")]
    for arm, said in tested.items():
        x, y, counts = _binned(said, bins)
        note = f"n: {n}, in {bins} bins of equal width; the number of pictures in a bin stands above its point."
        drawn.append(charts.reliability(f"Reliability, {arm}", Curve(arm, x, y), counts, note))
    return drawn


def _binned(said: Tested, bins: int) -> tuple[list[float], list[float], list[int]]:
    """Mean score, share of positives and number of pictures of each bin that is not empty."""
    number = np.minimum((said.scores * bins).astype(int), bins - 1)
    inside = [number == place for place in np.unique(number)]
    return (
        [float(said.scores[which].mean()) for which in inside],
        [float(said.labels[which].mean()) for which in inside],
        [int(which.sum()) for which in inside],
    )

"""Do the synthetic pictures help? The two classifiers, their difference, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
BINS = 10


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


def verdict(facts: Facts, classes: Sequence[str]) -> Verdict:
    """What the AUROC of the two arms says."""
    if facts.classification is None:
        why = (
            f"there is one class only ({classes[0]}), so no classifier was trained"
            if len(classes) == 1
            else "no classifier was trained in this run (`dfukit classify` does it)"
        )
        return Verdict("none", f"This run cannot say: {why}.", "")
    difference: Table | None = (facts.classification.get("difference") or {}).get("auroc")
    if difference is None:
        return Verdict("none", "This run cannot say: the classifier was trained without synthetic pictures only.", "")
    value, bounds = difference.get("value"), difference.get("interval")
    tested = f"{plural(difference.get('patients', 0), 'test patient')} ({plural(difference.get('n', 0), 'picture')})"
    if value is None or bounds is None:
        detail = "" if value is None else f"AUROC difference {signed(value)} on {tested}."
        return Verdict("none", f"This run cannot say: {difference['reason']}.", detail)
    detail = f"AUROC difference {signed(value)}, 95% interval {interval(bounds, signed)}."
    if bounds[0] > 0:
        return Verdict("better", f"Yes: with synthetic pictures the classifier tells the classes apart better on {tested}.", detail)
    if bounds[1] < 0:
        return Verdict("worse", f"No: with synthetic pictures the classifier tells the classes apart worse on {tested}.", detail)
    return Verdict(
        "open",
        f"No difference can be seen with {tested}.",
        f"{detail} Any true difference in that interval would look like this.",
    )


def arms(classification: Table | None) -> list[str]:
    return list((classification or {}).get("runs", {}))


def rows(classification: Table | None) -> list[tuple[str, list[Cell]]]:
    """The figures of each arm, by name, in the order of `NAMES`; further ones behind."""
    runs: Mapping[str, Mapping[str, Any]] = (classification or {}).get("runs", {})
    names = dict.fromkeys([*NAMES, *(name for run in runs.values() for name in run)])
    found = []
    for name in names:
        figures = [run.get(name) for run in runs.values()]
        if any(isinstance(entry, dict) and "value" in entry for entry in figures):
            found.append((NAMES.get(name, name), [_cell(entry) for entry in figures]))
    return found


def _cell(entry: Any) -> Cell:
    if not isinstance(entry, dict) or entry.get("value") is None:
        return Cell("–", "", (entry or {}).get("reason") or "not computed")
    about = plural(entry["n"], "picture")
    if band := entry.get("calibrated_band"):
        about += f"; a perfectly calibrated model: {interval(band, fixed)}"
    if entry.get("reason"):
        about += f"; {entry['reason']}"
    return Cell(fixed(entry["value"]), interval(entry.get("interval"), fixed), about)


def confusions(classification: Table | None) -> list[Confusion]:
    """Counts of test pictures for each arm."""
    return [Confusion(arm, **counts) for arm, counts in (classification or {}).get("confusion", {}).items()]


def plots(tested: Mapping[str, Tested]) -> list[Chart]:
    """ROC and reliability of all arms; nothing where the test part has one class only."""
    if not tested or any(len(np.unique(said.labels)) < 2 for said in tested.values()):
        return []
    first = next(iter(tested.values()))
    n = f"{count(first.labels.sum())} positive and {count((~first.labels).sum())} negative test pictures"
    rates = [Curve(arm, *roc_curve(said.labels, said.scores)[:2]) for arm, said in tested.items()]
    binned = {arm: _binned(said) for arm, said in tested.items()}
    return [
        charts.roc("ROC", rates, f"{n[:1].upper()}{n[1:]}."),
        charts.reliability(
            "Reliability",
            [Curve(arm, x, y) for arm, (x, y, _) in binned.items()],
            [numbers for _, _, numbers in binned.values()],
            f"{n[:1].upper()}{n[1:]}, in {BINS} bins of equal width; beside each point how many are in its bin.",
        ),
    ]


def _binned(said: Tested) -> tuple[list[float], list[float], list[int]]:
    """Mean score, share of positives and number of pictures of each bin that is not empty."""
    bins = np.minimum((said.scores * BINS).astype(int), BINS - 1)
    found = [(said.scores[bins == b].mean(), said.labels[bins == b].mean(), (bins == b).sum()) for b in np.unique(bins)]
    return [float(x) for x, _, _ in found], [float(y) for _, y, _ in found], [int(n) for _, _, n in found]

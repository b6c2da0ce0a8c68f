"""From counts to a signed difference, its interval, and one of four answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import frozen
from scipy.special import expit, logit

from dfukit.clinical import intervals
from dfukit.lift.figures import Counts, Judged

ANSWERS = ("better", "worse", "no difference larger than {margin:g}", "too few patients to tell")


@frozen
class Estimate:
    """A figure or a difference with what is known of its spread."""

    value: float | None
    interval: tuple[float, float] | None
    from_patients: float
    """Standard error that comes from the patients who happen to be here."""
    from_seeds: float
    """Standard error that comes from the randomness of training; 0 where there is one seed."""
    reason: str | None = None
    half_of_patients: float = 0.0
    """Of a difference: half the width of its interval, before the ends are cut off, as far as it comes from the
    patients: t times their standard error. The squares of both halves make that of the whole."""
    half_of_seeds: float = 0.0

    @property
    def half(self) -> float:
        """Half the width of a difference's interval, before the ends are cut off."""
        return math.hypot(self.half_of_patients, self.half_of_seeds)

    def as_table(self) -> dict[str, Any]:
        table: dict[str, Any] = {
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "standard_error": {"patients": self.from_patients, "seeds": self.from_seeds},
        }
        return {**table, "reason": self.reason} if self.reason else table


def figure_of(counts: Counts, tested: Judged, name: str) -> Estimate:
    """One arm's figure. Shares get their interval on the logit scale, where it cannot leave 0 to 1."""
    value = counts.value
    if value is None:
        return Estimate(None, None, 0.0, 0.0, "the test part has one class only")
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = counts.resampled / counts.resampled_possible
    error, halves = _spread(counts.counted, counts.possible, draws, tested, name)
    half = math.hypot(*halves)
    if name == "log_loss":
        return Estimate(value, (max(0.0, value - half), value + half), *error)
    if half == 0 or not 0 < value < 1:
        # No resample moved it: as sure as so many patients without an exception make one.
        half = intervals.none_seen(_patients(tested, name))
        return Estimate(value, (max(0.0, value - half), min(1.0, value + half)), *error)
    half /= value * (1 - value)
    low, high = expit(logit(value) + np.array([-half, half]))
    return Estimate(value, (float(low), float(high)), *error)


def difference_of(first: Counts, second: Counts, tested: Judged, name: str) -> Estimate:
    """The figure of `second` less that of `first`, on the same pictures.

    The interval is the difference +- half a width, whose square is the sum of two: of t times the standard error of
    the paired bootstrap over patients, and of t times that of the seeds within each fold. The patients' degrees of
    freedom are the patients of the rarer side less one: a percentile interval is too narrow where these are few. The
    ends of a difference of shares are cut off at -1 and 1, which it cannot pass.
    """
    total = float(first.possible.sum())
    if total == 0:
        return Estimate(None, None, 0.0, 0.0, "the test part has one class only")
    counted = second.counted - first.counted
    value = float(counted.mean(1).sum() / total)
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = (second.resampled - first.resampled) / first.resampled_possible
    error, halves = _spread(counted, first.possible, draws, tested, name)
    if halves == (0.0, 0.0):
        if name == "log_loss":
            return Estimate(value, None, 0.0, 0.0, "no resample moved the difference: no interval")
        halves = intervals.none_seen(_patients(tested, name)), 0.0
    half = math.hypot(*halves)
    low, high = value - half, value + half
    if name != "log_loss":
        low, high = max(-1.0, low), min(1.0, high)
    return Estimate(value, (low, high), *error, half_of_patients=halves[0], half_of_seeds=halves[1])


def verdict(estimate: Estimate, margin: float, patients: int) -> dict[str, Any]:
    """{"answer", "patients_needed"}: the number of patients is there where there are too few to tell.

    It is what makes the interval narrow enough to leave zero out, or to lie within the margin, whichever is nearer, if
    the difference stays where it is, and the patients' part of the width falls with the root of their number. The
    seeds' part stays what it is: where that alone is too wide, no number of patients is enough, and None stands there.
    """
    if estimate.value is None or estimate.interval is None:
        return {"answer": ANSWERS[3], "patients_needed": None}
    low, high = estimate.value - estimate.half, estimate.value + estimate.half
    if low > 0 or high < 0:
        return {"answer": ANSWERS[0] if low > 0 else ANSWERS[1], "patients_needed": None}
    if -margin <= low and high <= margin:
        return {"answer": ANSWERS[2].format(margin=margin), "patients_needed": None}
    away = abs(estimate.value)
    settled = max(away, margin - away)
    if settled <= estimate.half_of_seeds:
        return {"answer": ANSWERS[3], "patients_needed": None}
    left = (settled - estimate.half_of_seeds) * (settled + estimate.half_of_seeds)
    needed = math.ceil(patients * estimate.half_of_patients**2 / left)
    return {"answer": ANSWERS[3], "patients_needed": max(patients + 1, needed)}


def _spread(
    counted: np.ndarray, possible: np.ndarray, draws: np.ndarray, tested: Judged, name: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Standard errors from patients and from seeds, and the halves of the width that these make: each has its own t."""
    draws = draws[np.isfinite(draws)]
    from_patients = intervals.standard_error(draws, len(np.unique(tested.units)))
    half_of_patients = _quantile(_patients(tested, name) - 1) * from_patients
    folds, seeds = counted.shape
    if seeds < 2:
        return (from_patients, 0.0), (half_of_patients, 0.0)
    from_seeds = math.sqrt(float((counted.var(1, ddof=1) / seeds).sum())) / float(possible.sum())
    return (from_patients, from_seeds), (half_of_patients, _quantile(folds * (seeds - 1)) * from_seeds)


def _quantile(freedom: int) -> float:
    return intervals.student(max(1, freedom))


def _patients(tested: Judged, name: str) -> int:
    """Patients behind a figure: of the rarer side for AUROC, with a positive picture for recall, else all."""
    positive = len(np.unique(tested.units[tested.labels]))
    negative = len(np.unique(tested.units[~tested.labels]))
    everyone = len(np.unique(tested.units))
    return {"auroc": min(positive, negative), "recall": positive, "log_loss": everyone}[name]

"""The figures of one classifier on one set of labelled pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from dfukit.clinical import intervals
from dfukit.clinical.calibration import calibrated_band, calibration_error
from dfukit.clinical.intervals import Interval
from dfukit.clinical.resampling import Ranking, resampled_weights
from dfukit.clinical.scored import Scored

FIGURES = ("accuracy", "precision", "recall", "f1", "auroc", "tpr", "fpr", "ece", "brier", "log_loss")
CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1 in the log loss."""

Figure = dict[str, Any]


def figures(
    labels: np.ndarray,
    score: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
    threshold: float = 0.5,
) -> dict[str, Figure]:
    """Figures of scores in [0, 1] (calibrated probabilities) against labels (bool), groups being patients; all [N].

    Each is {"value", "interval": 95% over patients, "n": pictures behind it, "patients"}; value and interval are None
    with a "reason" where they mean nothing. Shares have Wilson's interval with an effective size, the AUROC one on the
    logit scale, the calibration error one that reaches to 0 where it is no larger than that of a perfectly calibrated
    model, the others the percentile bootstrap (see `intervals`). "ece" adds "calibrated_band": where such a model with
    these scores would come out 95 times of 100.
    Raises DataError for labels that are not bool and scores that are not probabilities.
    """
    scored = Scored.of(labels, score, groups)
    if not len(scored):
        return {name: figure(None, Interval(None, "no picture"), scored) for name in FIGURES}
    called = scored.score >= threshold
    shares = {name: rate(scored, called, name) for name in ("accuracy", "precision", "recall", "tpr", "fpr")}

    values = {name: float(found[0]) for name, found in _statistics(scored, called, np.ones((1, len(scored)))).items()}
    blocks = [_statistics(scored, called, drawn) for drawn in resampled_weights(scored.patient, rng, resamples)]
    draws = {name: np.concatenate([block[name] for block in blocks]) for name in values}
    found = {
        name: figure(value, intervals.percentile(draws[name], scored.patients), scored)
        for name, value in values.items()
    }
    found["auroc"] = _auroc(scored, values["auroc"], draws["auroc"])
    concerned = scored.take(scored.labels | called)
    found["f1"] = figure(
        values["f1"] if len(concerned) else None,
        intervals.percentile(draws["f1"], scored.patients) if len(concerned) else Interval(None, REASONS["f1"]),
        concerned,
    )
    band = calibrated_band(scored.labels, scored.score, scored.patient, rng, resamples)
    interval = intervals.calibration_error(values["ece"], draws["ece"], scored.patients, band)
    found["ece"] = {**figure(values["ece"], interval, scored), "calibrated_band": band}
    return {name: (shares | found)[name] for name in FIGURES}


def figure(value: float | None, interval: Interval, behind: Scored) -> Figure:
    """A figure as it is written down, with what it rests on."""
    reason = {"reason": interval.reason} if interval.reason else {}
    return {"value": value, "interval": interval.bounds, **reason, "n": len(behind), "patients": behind.patients}


def rate(scored: Scored, called: np.ndarray, name: str) -> Figure:
    """A share of pictures that were called positive or not, bool [N]; `name` is one of RATES."""
    members, success = RATES[name].of(scored.labels, called)
    behind = scored.take(members)
    if not len(behind):
        return figure(None, Interval(None, REASONS[name]), behind)
    hits = success[members]
    return figure(float(hits.mean()), intervals.proportion(hits, behind.patient), behind)


def auroc(scored: Scored, rng: np.random.Generator, resamples: int) -> Figure:
    """The AUROC alone."""
    if not len(scored):
        return figure(None, Interval(None, REASONS["auroc"]), scored)
    ranking = Ranking(scored.labels, scored.score)
    value = float(ranking.auroc(np.ones((1, len(scored))))[0])
    draws = [ranking.auroc(drawn) for drawn in resampled_weights(scored.patient, rng, resamples)]
    return _auroc(scored, value, np.concatenate(draws))


def confusion(labels: np.ndarray, score: np.ndarray, threshold: float = 0.5) -> dict[str, int]:
    """Counts of pictures by what they are and what they were called."""
    labels, called = np.asarray(labels, bool), np.asarray(score) >= threshold
    return {
        "true_positive": int((labels & called).sum()),
        "false_positive": int((~labels & called).sum()),
        "false_negative": int((labels & ~called).sum()),
        "true_negative": int((~labels & ~called).sum()),
    }


@frozen
class Rate:
    """Which pictures a share is of, and which of them count: by class and by call, None being either."""

    label: bool | None
    call: bool | None
    counts: str

    def of(self, labels: np.ndarray, called: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Members and successes, bool [N] each."""
        members = np.ones(len(labels), bool)
        if self.label is not None:
            members &= labels == self.label
        if self.call is not None:
            members &= called == self.call
        return members, {"right": labels == called, "wrong": labels != called}[self.counts]


RATES = {
    "accuracy": Rate(None, None, "right"),
    "precision": Rate(None, True, "right"),
    "recall": Rate(True, None, "right"),
    "tpr": Rate(True, None, "right"),
    "fpr": Rate(False, None, "wrong"),
    "ppv": Rate(None, True, "right"),
    "npv": Rate(None, False, "right"),
}
REASONS = {
    "auroc": "these pictures have one class only",
    "f1": "no picture is positive and none was called so",
    "fpr": "none of these pictures is negative",
    "npv": "no picture was called negative",
    "ppv": "no picture was called positive",
    "precision": "no picture was called positive",
    "recall": "none of these pictures is positive",
    "tpr": "none of these pictures is positive",
}


def _auroc(scored: Scored, value: float, draws: np.ndarray) -> Figure:
    if not np.isfinite(value):
        return figure(None, Interval(None, REASONS["auroc"]), scored)
    return figure(value, intervals.auroc(value, draws, scored.fewest), scored)


def _statistics(scored: Scored, called: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """What is no plain share, [R] under weights [R, N]; nan where it means nothing."""
    labels, score = scored.labels, scored.score
    clipped = np.clip(score, CLIP, 1 - CLIP)
    surprise = -np.log(np.where(labels, clipped, 1 - clipped))
    total = weights.sum(1)
    hit = weights @ (called & labels)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "f1": 2 * hit / (weights @ called + weights @ labels),
            "auroc": Ranking(labels, score).auroc(weights),
            "ece": calibration_error(labels[None], score, weights),
            "brier": weights @ (score - labels) ** 2 / total,
            "log_loss": weights @ surprise / total,
        }

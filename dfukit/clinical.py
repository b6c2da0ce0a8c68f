"""Clinical figures of a binary classifier with intervals by bootstrap over patients, and its calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import frozen
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import beta
from sklearn import metrics

from dfukit.errors import DataError

BINS = 15
LEVELS = (2.5, 97.5)
SMALLEST_CALIBRATION = 10
TEMPERATURES = (0.05, 20.0)
CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1 in the log loss."""
BLOCK = 4_000_000
"""Numbers held at once by the bootstrap: 32 MB of float64."""


@frozen
class Temperature:
    """What logits are divided by to become calibrated log-odds; `reason` says why it is 1 where nothing was fitted."""

    value: float
    reason: str | None = None


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of the positive class from uncalibrated logits."""
    return np.asarray(expit(np.asarray(logits, np.float64) / temperature))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Temperature:
    """The temperature of least cross-entropy on the validation part (Guo et al. 2017).

    Targets are Platt's (1999), (n + 1) / (n + 2) and 1 / (n + 2), so that classes that are told apart without an error
    do not end in certainty.
    """
    labels = np.asarray(labels, bool)
    if len(labels) < SMALLEST_CALIBRATION:
        return Temperature(1.0, f"{len(labels)} validation pictures are too few to fit a temperature")
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not positive or not negative:
        return Temperature(1.0, "the validation part has one class only: no temperature was fitted")
    target = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        return float((np.logaddexp(0, scaled) - target * scaled).mean())

    low, high = (math.log(bound) for bound in TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    if loss(found.x) >= loss(0.0):
        return Temperature(1.0, "no temperature is better than 1 on the validation part")
    return Temperature(float(math.exp(found.x)))


def figures(
    labels: np.ndarray,
    score: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
    threshold: float = 0.5,
) -> dict[str, dict[str, Any]]:
    """Figures of scores in [0, 1] (calibrated probabilities) against labels (bool), groups being patients; all [N].

    Each is {"value", "interval": 95% percentile bootstrap over patients, "n": pictures behind it, "patients"}; value
    and interval are None with a "reason" where they mean nothing. "ece" adds "calibrated_band": where a perfectly
    calibrated model with these scores would come out 95 times of 100.
    Raises DataError for scores that are not probabilities.
    """
    labels, score = np.asarray(labels, bool), np.asarray(score, np.float64)
    _check(labels, score, groups)
    called = score >= threshold
    patients, patient = np.unique(groups, return_inverse=True)
    about = {"n": len(labels), "patients": len(patients)}
    if not len(labels):
        return {name: {"value": None, "interval": None, "reason": "no test picture", **about} for name in FIGURES}

    values = _values(labels, score, called)
    draws = _resampled(labels, score, called, patient, rng, resamples)
    denominators = _denominators(labels, called)
    found: dict[str, dict[str, Any]] = {}
    for name in FIGURES:
        members = denominators.get(name, np.ones(len(labels), bool))
        about = {"n": int(members.sum()), "patients": len(np.unique(patient[members]))}
        value = values[name]
        if value is None:
            found[name] = {"value": None, "interval": None, "reason": _reason(name), **about}
            continue
        interval, reason = _interval(draws[name], len(patients))
        if name in PROPORTIONS and value in (0.0, 1.0) and reason is None:
            interval = _exact(value, about["patients"])
        found[name] = {"value": value, "interval": interval, **({"reason": reason} if reason else {}), **about}
    found["ece"]["calibrated_band"] = _calibrated_band(score, rng, resamples)
    return found


def auroc_difference(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Any]:
    """AUROC of `second` minus that of `first` on the same pictures, resampled together by patient."""
    labels = np.asarray(labels, bool)
    for score in (first, second):
        _check(labels, np.asarray(score, np.float64), groups)
    patients, patient = np.unique(groups, return_inverse=True)
    about = {"n": len(labels), "patients": len(patients)}
    if len(np.unique(labels)) < 2:
        return {"value": None, "interval": None, "reason": _reason("auroc"), **about}
    value = float(metrics.roc_auc_score(labels, second) - metrics.roc_auc_score(labels, first))
    order = [_Ranking(labels, score) for score in (first, second)]
    draws = np.concatenate(
        [order[1].auroc(weights) - order[0].auroc(weights) for weights in _weights(patient, rng, resamples)]
    )
    interval, reason = _interval(draws, len(patients))
    return {"value": value, "interval": interval, **({"reason": reason} if reason else {}), **about}


def confusion(labels: np.ndarray, score: np.ndarray, threshold: float = 0.5) -> dict[str, int]:
    """Counts of pictures by what they are and what they were called."""
    labels, called = np.asarray(labels, bool), np.asarray(score) >= threshold
    return {
        "true_positive": int((labels & called).sum()),
        "false_positive": int((~labels & called).sum()),
        "false_negative": int((labels & ~called).sum()),
        "true_negative": int((~labels & ~called).sum()),
    }


FIGURES = ("accuracy", "precision", "recall", "f1", "auroc", "tpr", "fpr", "ece", "brier", "log_loss")
PROPORTIONS = ("accuracy", "precision", "recall", "tpr", "fpr")


def _check(labels: np.ndarray, score: np.ndarray, groups: np.ndarray) -> None:
    if not len(labels) == len(score) == len(groups):
        raise DataError(f"{len(labels)} labels, {len(score)} scores and {len(groups)} groups do not match")
    if not np.isfinite(score).all():
        raise DataError(f"{int((~np.isfinite(score)).sum())} of {len(score)} scores are not finite numbers")
    if len(score) and (score.min() < 0 or score.max() > 1):
        raise DataError(f"scores must be probabilities in [0, 1], got {score.min():g} to {score.max():g}")


def _values(labels: np.ndarray, score: np.ndarray, called: np.ndarray) -> dict[str, float | None]:
    positive, negative = bool(labels.any()), bool((~labels).any())
    recall = float(metrics.recall_score(labels, called)) if positive else None
    return {
        "accuracy": float(metrics.accuracy_score(labels, called)),
        "precision": float(metrics.precision_score(labels, called)) if called.any() else None,
        "recall": recall,
        "f1": float(metrics.f1_score(labels, called)) if positive or called.any() else None,
        "auroc": float(metrics.roc_auc_score(labels, score)) if positive and negative else None,
        "tpr": recall,
        "fpr": float((called & ~labels).sum() / (~labels).sum()) if negative else None,
        "ece": float(_ece(labels[None], score, np.ones((1, len(labels))))[0]),
        "brier": float(metrics.brier_score_loss(labels, score, pos_label=True)),
        "log_loss": float(metrics.log_loss(labels, np.clip(score, CLIP, 1 - CLIP), labels=[False, True])),
    }


def _reason(name: str) -> str:
    return {
        "auroc": "the test part has one class only",
        "precision": "no picture was called positive",
        "fpr": "the test part has no negative picture",
        "f1": "no picture is positive and none was called so",
    }.get(name, "the test part has no positive picture")


def _denominators(labels: np.ndarray, called: np.ndarray) -> dict[str, np.ndarray]:
    """The pictures that a proportion is a share of."""
    return {"precision": called, "recall": labels, "tpr": labels, "fpr": ~labels, "f1": labels | called}


def _weights(patient: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """How often each picture counts in each resample of the patients: blocks [R, N]."""
    count = int(patient.max()) + 1
    block = max(1, BLOCK // len(patient))
    for start in range(0, resamples, block):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(block, resamples - start))
        yield drawn[:, patient].astype(np.float64)


def _resampled(
    labels: np.ndarray,
    score: np.ndarray,
    called: np.ndarray,
    patient: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, np.ndarray]:
    ranking = _Ranking(labels, score)
    squared = (score - labels) ** 2
    clipped = np.clip(score, CLIP, 1 - CLIP)
    surprise = -np.log(np.where(labels, clipped, 1 - clipped))
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in FIGURES}
    for weights in _weights(patient, rng, resamples):
        total = weights.sum(1)
        hit, false_alarm = weights @ (called & labels), weights @ (called & ~labels)
        miss = weights @ (~called & labels)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hit / (hit + miss)
            block = {
                "accuracy": weights @ (called == labels) / total,
                "precision": hit / (hit + false_alarm),
                "recall": recall,
                "f1": 2 * hit / (2 * hit + false_alarm + miss),
                "auroc": ranking.auroc(weights),
                "tpr": recall,
                "fpr": false_alarm / (weights @ ~labels),
                "ece": _ece(labels[None], score, weights),
                "brier": weights @ squared / total,
                "log_loss": weights @ surprise / total,
            }
        for name, values in block.items():
            blocks[name].append(values)
    return {name: np.concatenate(values) for name, values in blocks.items()}


class _Ranking:
    """Pictures sorted by score once, so that many weighted AUROCs are cheap. Ties count half."""

    def __init__(self, labels: np.ndarray, score: np.ndarray) -> None:
        self.order = np.argsort(score, kind="stable")
        self.positive = labels[self.order].astype(np.float64)
        ordered = score[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def auroc(self, weights: np.ndarray) -> np.ndarray:
        """AUROC [R] under weights [R, N]; nan where one class has no weight."""
        ordered = weights[:, self.order]
        positive = np.add.reduceat(ordered * self.positive, self.starts, axis=1)
        negative = np.add.reduceat(ordered * (1 - self.positive), self.starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((positive * below).sum(1) / (positive.sum(1) * negative.sum(1)))


def _ece(labels: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error [R]: 15 bins of equal width, labels [1 or R, N], weights [R, N]."""
    bin_of = np.minimum((score * BINS).astype(np.int64), BINS - 1)
    inside = (bin_of[:, None] == np.arange(BINS)).astype(np.float64)
    gap = (weights * (labels - score)) @ inside
    return np.asarray(np.abs(gap).sum(1) / weights.sum(1))


def _calibrated_band(score: np.ndarray, rng: np.random.Generator, resamples: int) -> list[float]:
    block = max(1, BLOCK // len(score))
    draws = []
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        labels = rng.random((count, len(score))) < score
        draws.append(_ece(labels, score, np.ones((count, len(score)))))
    return [float(bound) for bound in np.percentile(np.concatenate(draws), LEVELS)]


def _interval(draws: np.ndarray, patients: int) -> tuple[list[float] | None, str | None]:
    """The 95% percentile interval, or None and why."""
    if patients < 2:
        return None, "one patient only: no interval"
    defined = draws[np.isfinite(draws)]
    if len(defined) < len(draws) / 2:
        return None, "undefined in most resamples of the patients: no interval"
    return [float(bound) for bound in np.percentile(defined, LEVELS)], None


def _exact(value: float, patients: int) -> list[float]:
    """Clopper and Pearson's interval at 0 or 1, with patients as the trials: every resample would repeat the value."""
    if value == 1.0:
        return [float(beta.ppf(0.025, patients, 1)), 1.0]
    return [0.0, float(beta.ppf(0.975, 1, patients))]

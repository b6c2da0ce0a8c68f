"""The operating point: a threshold chosen for its sensitivity on validation, and what it does on the test part."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from scipy.special import expit

from dfukit.clinical.figures import REASONS, Figure, figure, rate
from dfukit.clinical.intervals import Interval
from dfukit.clinical.scored import Scored


@frozen
class Threshold:
    """The score from which on a picture is called positive, or None and the reason."""

    value: float | None
    reason: str | None = None


def choose_threshold(labels: np.ndarray, score: np.ndarray, target: float) -> Threshold:
    """The highest score at which the share of positive pictures that reach it is at least `target`.

    The highest, because every step below it calls more negative pictures positive. It is the score of a validation
    picture, so that no digit is made up.
    """
    positive = np.sort(score[np.asarray(labels, bool)])[::-1]
    if not len(positive):
        return Threshold(None, "the validation part has no positive picture: no operating point was chosen")
    # 0.7 x 10 is a little more than 7 in floating point.
    needed = max(1, math.ceil(target * len(positive) - 1e-9))
    return Threshold(float(positive[needed - 1]))


def at_threshold(
    labels: np.ndarray, score: np.ndarray, groups: np.ndarray, threshold: float, prevalence: float
) -> dict[str, Figure]:
    """ "tpr", "fpr", "ppv" and "npv" of calls at a threshold, with PPV and NPV at a prevalence above 0 to below 1.

    Prevalence 0 stands for the pictures' own: then PPV and NPV are plain shares. At a stated one they follow from TPR
    and FPR by Bayes' theorem. The logit of a predictive value is that of the prevalence plus the logarithm of a
    likelihood ratio, and the interval of that ratio of two shares comes from theirs by the method of variance
    estimates recovery (Zou and Donner 2008), which needs no correction where a share is 0 or 1. It takes the two as
    independent; where patients have pictures of both classes they are not, and the interval is a little too wide.
    The threshold counts as given: that another validation part would have chosen another is not covered.
    """
    scored = Scored.of(labels, score, groups)
    called = scored.score >= threshold
    names = ("tpr", "fpr", "ppv", "npv")
    found = {name: rate(scored, called, name) for name in names}
    if prevalence > 0:
        tpr, fpr = found["tpr"], found["fpr"]
        tnr, fnr = _complement(fpr), _complement(tpr)
        found["ppv"] = _predictive(scored, "ppv", tpr, fpr, prevalence)
        found["npv"] = _predictive(scored, "npv", tnr, fnr, 1 - prevalence)
    return found


def _complement(share: Figure) -> Figure:
    value, bounds = share["value"], share["interval"]
    return {
        **share,
        "value": None if value is None else 1 - value,
        "interval": None if bounds is None else [1 - bounds[1], 1 - bounds[0]],
    }


def _predictive(scored: Scored, name: str, right: Figure, wrong: Figure, prior: float) -> Figure:
    """PPV from TPR, FPR and the prevalence; NPV from their complements."""
    for share in (right, wrong):
        if share["value"] is None:
            return figure(None, Interval(None, share["reason"]), scored)
    if right["value"] == wrong["value"] == 0:
        return figure(None, Interval(None, REASONS[name]), scored)
    odds = math.log(prior / (1 - prior))
    hit, miss = _log(right["value"]), _log(wrong["value"])
    value = float(expit(odds + hit - miss))
    for share in (right, wrong):
        if share["interval"] is None:
            return figure(value, Interval(None, share["reason"]), scored)
    (hit_low, hit_high), (miss_low, miss_high) = (map(_log, share["interval"]) for share in (right, wrong))
    if wrong["value"] == 0:  # what the general case tends to
        bounds = [hit - miss_high, math.inf]
    elif right["value"] == 0:
        bounds = [-math.inf, hit_high - miss]
    else:
        bounds = [
            hit - miss - math.hypot(hit - hit_low, miss_high - miss),
            hit - miss + math.hypot(hit_high - hit, miss - miss_low),
        ]
    return figure(value, Interval([float(expit(odds + bound)) for bound in bounds]), scored)


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf

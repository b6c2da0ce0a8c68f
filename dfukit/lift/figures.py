"""AUROC, recall at a specificity and log loss of out-of-fold scores, and how they spread over patients and seeds.

Each figure is a share: what is counted for it in the folds, over what could have been. Scores are compared within a
fold and a seed only, because networks of different trainings do not share a scale; seeds count alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen

FIGURES = ("auroc", "recall", "log_loss")
BETTER = {"auroc": "higher", "recall": "higher", "log_loss": "lower"}
CLIP = 1e-15
BLOCK = 4_000_000
"""Numbers held at once by the bootstrap: 32 MB of float64."""


@frozen(eq=False)
class Judged:
    """Pictures with what they are, and the scores of an arm's networks: labels bool, folds, units int64 [N].

    A unit is a patient; scores [S, N] in [0, 1], a row for each seed.
    """

    labels: np.ndarray
    folds: np.ndarray
    units: np.ndarray
    scores: np.ndarray


@frozen(eq=False)
class Counts:
    """A figure's numerator by fold and seed [F, S], its denominator by fold [F]; and the same of resampled patients,
    summed over folds and averaged over seeds, [R]."""

    counted: np.ndarray
    possible: np.ndarray
    resampled: np.ndarray
    resampled_possible: np.ndarray

    @property
    def value(self) -> float | None:
        """The figure; None where nothing could be counted."""
        total = float(self.possible.sum())
        return float(self.counted.mean(1).sum() / total) if total > 0 else None


def count(arms: Mapping[str, Judged], specificity: float, resamples: int, seed: int) -> dict[str, dict[str, Counts]]:
    """Counts by arm and figure. The arms share their pictures, and so the resamples of the patients."""
    one = next(iter(arms.values()))
    units = np.unique(one.units, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    number = int(units.max()) + 1
    at_once = max(1, BLOCK // len(units))
    plain = {arm: _count(tested, np.ones((1, len(units))), specificity)[..., 0] for arm, tested in arms.items()}
    gathered: dict[str, list[np.ndarray]] = {arm: [] for arm in arms}
    for start in range(0, resamples, at_once):
        drawn = rng.multinomial(number, np.full(number, 1 / number), min(at_once, resamples - start))
        weights = drawn[:, units].astype(np.float64)
        for arm, tested in arms.items():
            gathered[arm].append(_count(tested, weights, specificity).sum(2).mean(2))
    result: dict[str, dict[str, Counts]] = {}
    for arm in arms:
        together = np.concatenate(gathered[arm], -1)
        result[arm] = {
            figure: Counts(plain[arm][i, 0], plain[arm][i, 1, :, 0], together[i, 0], together[i, 1])
            for i, figure in enumerate(FIGURES)
        }
    return result


def _count(tested: Judged, weights: np.ndarray, specificity: float) -> np.ndarray:
    """Numerators and denominators [figure, 2, F, S, R] under the weights [R, N] of the pictures."""
    folds = np.unique(tested.folds)
    found = np.zeros((len(FIGURES), 2, len(folds), len(tested.scores), len(weights)))
    for place, fold in enumerate(folds):
        inside = np.flatnonzero(tested.folds == fold)
        labels = tested.labels[inside]
        for seed, scores in enumerate(tested.scores[:, inside]):
            found[:, :, place, seed] = _of_one(labels, scores, weights[:, inside], specificity)
    return found


def _of_one(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, specificity: float) -> np.ndarray:
    """Numerator and denominator [figure, 2, R] of one network's scores in one fold."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # pictures of equal score stand together
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~labels[order], starts, axis=1)
    above = np.cumsum(negative, 1)
    positives, negatives = positive.sum(1), above[:, -1]
    pairs = (positive * (negatives[:, None] - above + negative / 2)).sum(1)
    # Called positive is everything down to the lowest score at which enough negatives still lie below.
    called = above <= (1 - specificity) * negatives[:, None] + 1e-9
    clipped = np.clip(np.where(labels, scores, 1 - scores), CLIP, 1.0)
    return np.array(
        [
            (pairs, positives * negatives),
            # Without a negative picture there is no specificity to read it at.
            ((positive * called).sum(1) * (negatives > 0), positives * (negatives > 0)),
            (weights @ -np.log(clipped), weights.sum(1)),
        ]
    )

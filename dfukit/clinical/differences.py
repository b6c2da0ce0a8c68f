"""Two classifiers on the same pictures."""

from __future__ import annotations

import numpy as np

from dfukit.clinical import intervals
from dfukit.clinical.figures import REASONS, Figure, figure
from dfukit.clinical.intervals import Interval
from dfukit.clinical.resampling import Ranking, resampled_weights
from dfukit.clinical.scored import Scored


def auroc_difference(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
) -> Figure:
    """AUROC of `second` minus that of `first` on the same pictures, resampled together by patient.

    Its interval is made as that of `dfukit lift` is, but for the seeds (see `intervals.difference`).
    """
    both = [Scored.of(labels, score, groups) for score in (first, second)]
    if len(np.unique(labels)) < 2:
        return figure(None, Interval(None, REASONS["auroc"]), both[0])
    rankings = [Ranking(scored.labels, scored.score) for scored in both]

    def difference(weights: np.ndarray) -> np.ndarray:
        before, after = (ranking.auroc(weights) for ranking in rankings)
        return np.asarray(after - before)

    value = float(difference(np.ones((1, len(both[0]))))[0])
    draws = [difference(drawn) for drawn in resampled_weights(both[0].patient, rng, resamples)]
    interval = intervals.difference(value, np.concatenate(draws), both[0].patients, both[0].fewest)
    return figure(value, interval, both[0])

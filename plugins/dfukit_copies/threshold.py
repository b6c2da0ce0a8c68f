"""Where copies begin: a threshold from the distances between real pictures that are no copies of each other."""

from __future__ import annotations

import math

import numpy as np

TAIL = 0.1
"""Share of the nearest real pairs that the tail is fitted to."""


def threshold(distances: np.ndarray, false_alarms: float) -> float:
    """The distance below which a share `false_alarms` of such distances [n] (above 0) is expected to lie.

    The smallest ones are too few to count at 1 in 400, so that their logarithm is given an exponential tail, fitted
    to the nearest tenth (the mean excess is its maximum-likelihood estimate).
    """
    near = -np.log(np.maximum(distances, np.finfo(float).tiny))
    start = np.quantile(near, 1 - TAIL)
    beyond = near[near > start] - start
    if false_alarms >= TAIL or not len(beyond):
        return float(np.exp(-np.quantile(near, 1 - false_alarms)))
    return float(np.exp(-(start + beyond.mean() * math.log(TAIL / false_alarms))))

"""Making logits probabilities, and how far probabilities are from being right."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from scipy.optimize import minimize_scalar
from scipy.special import expit

from dfukit.clinical.intervals import LEVELS
from dfukit.clinical.resampling import BLOCK

BINS = 15
SMALLEST_CALIBRATION = 10
TEMPERATURES = (0.05, 20.0)


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


def calibration_error(labels: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error [R]: 15 bins of equal width, labels [1 or R, N], weights [R, N]."""
    bin_of = np.minimum((score * BINS).astype(np.int64), BINS - 1)
    inside = (bin_of[:, None] == np.arange(BINS)).astype(np.float64)
    gap = (weights * (labels - score)) @ inside
    return np.asarray(np.abs(gap).sum(1) / weights.sum(1))


def calibrated_band(
    labels: np.ndarray, score: np.ndarray, patient: np.ndarray, rng: np.random.Generator, resamples: int
) -> list[float]:
    """Where the calibration error of a perfectly calibrated model with these scores lies 95 times of 100.

    All [N]. The pictures that a patient has of a class get other labels by one throw of the die: a throw for each would
    make the band too narrow where patients have one class.
    """
    thrown = np.unique(2 * patient + labels, return_inverse=True)[1].reshape(-1)
    block, throws = max(1, BLOCK // len(score)), int(thrown.max()) + 1
    draws = []
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = rng.random((count, throws))[:, thrown] < score
        draws.append(calibration_error(drawn, score, np.ones((count, len(score)))))
    return [float(bound) for bound in np.percentile(np.concatenate(draws), LEVELS)]

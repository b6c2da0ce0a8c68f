"""Intervals hold what they say: they cover the truth of simulated patients as often as they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, ndtr, ndtri

from dfukit import clinical
from dfukit.clinical import intervals
from dfukit.clinical.calibration import calibration_error

SHIFT, WITHIN, BETWEEN, THRESHOLD, SHARE, PREVALENCE = 2.0, 0.75, 0.75, 1.0, 0.4, 0.1
SPREAD = float(np.hypot(WITHIN, BETWEEN))
TPR, FPR = float(ndtr((SHIFT - THRESHOLD) / SPREAD)), float(ndtr(-THRESHOLD / SPREAD))
RUNS = 400
"""Simulated sets: the share of intervals that hold the truth is known to 1.1 percentage points."""
TRUTH = {
    "auroc": float(ndtr(SHIFT / SPREAD / np.sqrt(2))),
    "recall": TPR,
    "fpr": FPR,
    "ppv": PREVALENCE * TPR / (PREVALENCE * TPR + (1 - PREVALENCE) * FPR),
    "npv": (1 - PREVALENCE) * (1 - FPR) / ((1 - PREVALENCE) * (1 - FPR) + PREVALENCE * (1 - TPR)),
    "difference": 0.0,
}


def covered(patients: int, runs: int) -> dict[str, float]:
    """How often the interval of each figure holds its true value.

    A patient has 1 to 5 pictures, one label, and half of the score's variance to itself.
    """
    hits = dict.fromkeys(TRUTH, 0)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
        labels = (rng.random(patients) < SHARE)[patient]
        latent = SHIFT * labels + rng.normal(0, BETWEEN, patients)[patient] + rng.normal(0, WITHIN, len(patient))
        other = SHIFT * labels + rng.normal(0, BETWEEN, patients)[patient] + rng.normal(0, WITHIN, len(patient))
        score, threshold = expit(latent), float(expit(THRESHOLD))
        found = clinical.figures(labels, score, patient, rng, 200, threshold)
        found |= {
            name: figure
            for name, figure in clinical.at_threshold(labels, score, patient, threshold, PREVALENCE).items()
            if name in ("ppv", "npv")
        }
        found["difference"] = clinical.auroc_difference(labels, score, expit(other), patient, rng, 200)
        for name, truth in TRUTH.items():
            low, high = found[name]["interval"]
            hits[name] += low <= truth <= high
    return {name: count / runs for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("patients", [40, 110, 400])
def test_intervals_cover_the_truth_between_90_and_98_times_of_100(patients: int) -> None:
    found = covered(patients, RUNS)
    print(patients, "patients:", ", ".join(f"{name} {share:.3f}" for name, share in found.items()))
    for name, share in found.items():
        assert 0.90 <= share <= 0.98, (name, share)


def covered_differences(patients: int, first: float, second: float, runs: int) -> float:
    """How often the interval of a difference holds it: patients as in `covered`, classifiers of two known AUROCs.

    Half of what a patient has to itself is the same to both classifiers.
    """
    hits, shifts = 0, [float(ndtri(auroc)) * SPREAD * np.sqrt(2) for auroc in (first, second)]
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
        labels = (np.arange(patients) < SHARE * patients)[patient]
        common = rng.normal(0, BETWEEN, patients)[patient]
        scores = []
        for shift in shifts:
            own = rng.normal(0, BETWEEN, patients)[patient]
            scores.append(expit(shift * labels + (common + own) / np.sqrt(2) + rng.normal(0, WITHIN, len(patient))))
        low, high = clinical.auroc_difference(labels, *scores, patient, rng, 200)["interval"]
        hits += low <= second - first <= high
    return hits / runs


@pytest.mark.slow
@pytest.mark.parametrize("patients", [20, 40, 110])
@pytest.mark.parametrize(("first", "second"), [(0.75, 0.8), (0.9, 0.95), (0.97, 0.99), (0.99, 0.995)])
def test_differences_near_1_are_covered(patients: int, first: float, second: float) -> None:
    share = covered_differences(patients, first, second, RUNS)
    print(f"{patients} patients: AUROC {first} and {second}, difference {share:.3f}")
    assert share >= 0.86


def test_intervals_of_40_patients_cover_the_truth() -> None:
    for name, share in covered(40, 150).items():
        assert 0.90 <= share <= 0.98, (name, share)


def covered_calibration(patients: int, slope: float, shift: float, runs: int) -> float:
    """How often the interval of the calibration error holds that of 200,000 patients.

    Patients as in `covered`; of log-odds `x` that a classifier states, `slope * x + shift` are the true ones.
    """

    def drawn(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        patient = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
        stated = 1.5 * (rng.normal(0, BETWEEN, patients)[patient] + rng.normal(0, WITHIN, len(patient)))
        return rng.random(patients)[patient] < expit(slope * stated + shift), expit(stated), patient

    labels, score, _ = drawn(np.random.default_rng(runs), 200_000)
    truth = float(calibration_error(labels[None], score, np.ones((1, len(score))))[0])
    hits = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        low, high = clinical.figures(*drawn(rng, patients), rng, 200)["ece"]["interval"]
        hits += low <= truth <= high
    return hits / runs


@pytest.mark.slow
@pytest.mark.parametrize("patients", [40, 110])
@pytest.mark.parametrize(("slope", "shift"), [(1, 0), (0.6, 0), (1, 0.7), (0.4, 0.5)])
def test_calibration_errors_are_covered(patients: int, slope: float, shift: float) -> None:
    share = covered_calibration(patients, slope, shift, 300)
    print(f"{patients} patients: calibration error, slope {slope}, shift {shift}: {share:.3f}")
    assert share >= 0.85


def test_wilson_with_many_degrees_of_freedom_is_wilsons() -> None:
    z = 1.959963985
    centre, half = 0.8 + z**2 / 100, z * np.sqrt(0.8 * 0.2 / 50 + z**2 / 10000)
    expected = [(centre - half) / (1 + z**2 / 50), (centre + half) / (1 + z**2 / 50)]
    assert intervals.wilson(0.8, 50, math.inf) == pytest.approx(expected)


def test_independent_pictures_count_one_each_and_repeated_ones_not_at_all() -> None:
    rng = np.random.default_rng(0)
    success = rng.random(200) < 0.7
    alone = intervals.proportion(success, np.arange(200)).bounds
    assert alone == pytest.approx(intervals.wilson(success.mean(), 199, 199), abs=1e-4)
    repeated = intervals.proportion(np.repeat(success, 5), np.repeat(np.arange(200), 5)).bounds
    assert repeated == pytest.approx(alone, abs=1e-3)


def test_pictures_never_count_more_than_one_each() -> None:
    # Within a patient calls alternate: that says less than 20 independent pictures would.
    success, patient = np.arange(20) % 2 == 0, np.arange(20) // 3
    assert intervals.proportion(success, patient).bounds == pytest.approx(intervals.wilson(0.5, 20, 6))


def test_the_auroc_leans_to_the_side_that_has_room() -> None:
    draws = np.random.default_rng(0).normal(0.95, 0.03, 1000)
    low, high = intervals.auroc(0.95, draws, 20).bounds or [0, 0]
    assert high < 1
    assert 0.95 - low > 2 * (high - 0.95)


@pytest.mark.parametrize(("pictures", "right", "patients"), [(3, 2, 10), (3, 1, 5), (5, 1, 6), (7, 3, 5)])
def test_patients_of_whom_each_has_the_same_share_count_one_each(pictures: int, right: int, patients: int) -> None:
    """Their shares differ by rounding, which is no variation."""
    success = np.tile(np.arange(pictures) < right, patients)
    bounds = intervals.proportion(success, np.repeat(np.arange(patients), pictures)).bounds
    assert bounds == pytest.approx(intervals.wilson(right / pictures, patients, patients - 1))

"""How often the intervals of distances cover what they are about: `python benchmarks/intervals.py 200`.

Simulated features are skewed as those of a network with ReLU are; sets are alike, or the synthetic one is beside the
real one, or narrower, or both. An interval is to cover the figure's mean over the simulations, at that number of
pictures.
"""

from __future__ import annotations

import sys

import numpy as np

from dfukit import registry
from dfukit.interfaces import View
from dfukit.scoring.halvings import halvings
from dfukit.scoring.plan import Task
from dfukit.scoring.trial import MIN_PICTURES, Trial

METRICS = ("fd", "kd", "precision", "recall", "density", "coverage")
PATIENT = 5
"""Pictures of a patient, who shares half of their variance."""


def features(rng: np.random.Generator, n: int, shift: float, spread: float, patients: bool = False) -> np.ndarray:
    """[n, 64] of 16 causes."""
    causes = rng.normal(0, spread, (n, 16))
    if patients:
        causes = np.sqrt(0.5) * (causes + np.repeat(rng.normal(0, spread, (n // PATIENT, 16)), PATIENT, axis=0))
    mixing = np.random.default_rng(1).normal(size=(16, 64)) / 4
    return np.maximum((causes + shift) @ mixing + rng.normal(0, 0.1, (n, 64)) + 0.2, 0)


def share_covered(simulations: int, n: int, shift: float, spread: float, patients: bool) -> list[float]:
    """Of each metric the share of simulations whose interval covers the mean."""
    offers, rng = registry.load(), np.random.default_rng(n)
    tasks = [Task(chosen, chosen.build()) for chosen in (offers.choose("metric", name, {}) for name in METRICS)]
    found: list[list[tuple[float, float, float]]] = []
    for _ in range(simulations):
        real = View(features=features(rng, n, 0, 1, patients), groups=np.arange(n) // PATIENT if patients else None)
        fake = View(features=features(rng, n, shift, spread))
        trials = [Trial(task, real, fake, 0, print) for task in tasks]
        for trial in trials:
            trial.whole()
        for halving in halvings(real, fake, MIN_PICTURES, rng):
            one, other, equal = real.take(halving.one), real.take(halving.other), fake.take(halving.equal)
            for trial in trials:
                trial.halve(one, other, equal, lambda one=one: one, lambda equal=equal: equal)
        entries = [trial.entries()[name] for trial, name in zip(trials, METRICS, strict=True)]
        found.append([(entry["value"], *entry["interval"]) for entry in entries])
    value, low, high = np.array(found).transpose(2, 1, 0)
    mean = value.mean(1, keepdims=True)
    # A mean of ones is one only to rounding.
    return list(((low <= mean + 1e-9) & (mean <= high + 1e-9)).mean(1))


def main() -> None:
    simulations = int(sys.argv[1])
    print(f"{'n':>4} {'shift':>5} {'spread':>6} {'patients':>8}  {'  '.join(name.rjust(9) for name in METRICS)}")
    for n in (60, 200):
        for shift, spread in ((0.0, 1.0), (0.3, 1.0), (0.0, 0.7), (1.2, 0.5)):
            for patients in (False, True):
                shares = share_covered(simulations, n, shift, spread, patients)
                cells = "  ".join(f"{share:9.3f}" for share in shares)
                print(f"{n:4} {shift:5} {spread:6} {patients!s:>8}  {cells}", flush=True)


if __name__ == "__main__":
    main()

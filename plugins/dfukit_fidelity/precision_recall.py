"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dfukit.clinical.intervals import wilson
from dfukit.interfaces import Metric, Score, View
from dfukit_fidelity.neighbours import Neighbourhoods, neighbourhoods

if TYPE_CHECKING:
    from dfukit_fidelity import NearestFiveSettings, NearestThreeSettings

FEW = 5
"""Pictures on one side of a share below which random halves say too little of how it moves."""


class Neighbours(Metric):
    """A figure of who lies in whose neighbourhood of k pictures."""

    reads = "features"
    better = "higher"
    bounds = (0.0, math.inf)
    name: ClassVar[str]

    def __init__(self, settings: NearestThreeSettings | NearestFiveSettings) -> None:
        self._k = settings.k

    @abstractmethod
    def score(self, found: Neighbourhoods, real: View, fake: View) -> Score:
        """The figure of two sets."""

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        n = (real.n, fake.n)
        if min(n) <= self._k:
            reason = f"{self.name} with k = {self._k} needs at least {self._k + 1} pictures in each set"
            return {self.name: Score(None, n, reason=reason)}
        return {self.name: self.score(neighbourhoods(real, fake, self._k), real, fake)}


class Share(Neighbours):
    """The share of a set's pictures of which something holds.

    The interval is the core's, of random halves of both sets. Where fewer than FEW pictures are on one side it is
    Wilson's (1927) instead, over pictures or patients: halves that all say 1 have no spread. In simulations at n = 60
    and 200, with and without patients, it covers the mean of the figure in 88 to 100% of cases
    (benchmarks/intervals.py). Precision is the exception where the synthetic set is narrow and beside the real one, 73
    to 90%: the neighbourhoods of half a set are so much wider.
    """

    bounds = (0.0, 1.0)

    @abstractmethod
    def holds(self, found: Neighbourhoods) -> np.ndarray:
        """bool, for each picture of the set."""

    def trials(self, real: View, fake: View) -> int:
        """How many independent pictures the share is taken over."""
        return fake.n

    def score(self, found: Neighbourhoods, real: View, fake: View) -> Score:
        holds = self.holds(found)
        value, few = float(holds.mean()), min(holds.sum(), (~holds).sum()) < FEW
        low, high = wilson(value, self.trials(real, fake), math.inf)
        return Score(value, (real.n, fake.n), (low, high) if few else None)


class ShareOfReal(Share):
    """A share of the real set, whose patients count once each."""

    def trials(self, real: View, fake: View) -> int:
        return real.n if real.groups is None else len(np.unique(real.groups))


class Precision(Share):
    """The share of synthetic pictures that lie in the neighbourhood of a real one: do they look real?"""

    name = "precision"

    def holds(self, found: Neighbourhoods) -> np.ndarray:
        return found.precise


class Recall(ShareOfReal):
    """The share of real pictures that lie in the neighbourhood of a synthetic one: could the generator make them?"""

    name = "recall"

    def holds(self, found: Neighbourhoods) -> np.ndarray:
        return found.recalled


class Coverage(ShareOfReal):
    """The share of real pictures whose neighbourhood holds a synthetic one: are all kinds there?"""

    name = "coverage"

    def holds(self, found: Neighbourhoods) -> np.ndarray:
        return found.covered


class Density(Neighbours):
    """The mean number of real neighbourhoods that a synthetic picture lies in, by k: near 1 for a set like the real
    one, above it where synthetic pictures crowd among the commonest real ones.

    The interval is the core's, of random halves of both sets; in the same simulations it covers the mean of the figure
    in 83 to 98% of cases.
    """

    name = "density"

    def score(self, found: Neighbourhoods, real: View, fake: View) -> Score:
        return Score(float(found.around.mean() / self._k), (real.n, fake.n))

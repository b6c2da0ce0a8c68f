"""Metrics, sound and broken."""

from __future__ import annotations

import math

import numpy as np

from dfukit.interfaces import Metric, Score, View
from dfukit_toys import ToySettings


class Sound(Metric):
    """Distance between the means of the features."""

    reads = "features"

    def __init__(self, settings: ToySettings) -> None:
        pass

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        assert real.features is not None
        assert fake.features is not None
        return float(np.linalg.norm(real.features.mean(0) - fake.features.mean(0)))

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        return {"distance": Score(self.value(real, fake, rng), (real.n, fake.n))}


class NotFinite(Sound):
    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        return math.nan


class Renames(Sound):
    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        value = self.value(real, fake, rng)
        return {"far" if value > 5 else "near": Score(value, (real.n, fake.n))}


class Blind(Sound):
    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        return 1.0


class RestlessFigure(Sound):
    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        return super().value(real, fake, rng) + float(np.random.default_rng().normal())

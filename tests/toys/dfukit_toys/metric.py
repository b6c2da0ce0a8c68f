"""Metrics, sound and broken."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from dfukit.interfaces import Found, Metric, Score, View
from dfukit_toys import ToySettings


class Sound(Metric):
    """Distance between the means of the features."""

    reads = "features"
    name: ClassVar[str] = "sound"

    def __init__(self, settings: ToySettings) -> None:
        pass

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        assert real.features is not None
        assert fake.features is not None
        return float(np.linalg.norm(real.features.mean(0) - fake.features.mean(0)))

    def more(self, real: View, fake: View) -> dict[str, Any]:
        """What the score holds beside its value."""
        return {}

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        return {self.name: Score(self.value(real, fake, rng), (real.n, fake.n), **self.more(real, fake))}


class NotFinite(Sound):
    name = "not_finite"

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        return math.nan


class Renames(Sound):
    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        value = self.value(real, fake, rng)
        return {"renames_far" if value > 5 else "renames_near": Score(value, (real.n, fake.n))}


class Misnamed(Sound):
    name = "distance"


class Blind(Sound):
    name = "blind"

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        return 1.0


class RestlessFigure(Sound):
    name = "restless_figure"

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        return super().value(real, fake, rng) + float(np.random.default_rng().normal())


class ReadsMore(Sound):
    name = "reads_more"

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        pixels: Any = real.pixels
        return super().value(real, fake, rng) + float(pixels[0].mean())


class InMemory(Sound):
    reads = "pixels"
    name = "in_memory"

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        one: Any = real.pixels
        other: Any = fake.pixels
        return abs(float(one.mean() - other.mean()))


class NeedsLabels(Sound):
    name = "needs_labels"

    def value(self, real: View, fake: View, rng: np.random.Generator) -> float:
        labels: Any = real.labels
        return super().value(real, fake, rng) + float(labels.max())


class Unwritable(Sound):
    name = "unwritable"

    def more(self, real: View, fake: View) -> dict[str, Any]:
        return {"details": {"labels": {0, 1}}}


class PointsBeyond(Sound):
    name = "points_beyond"
    better = "neither"
    audit = True

    def more(self, real: View, fake: View) -> dict[str, Any]:
        return {"found": (Found(fake.n, 0, "identical", 0.0),)}


class FewDistances(PointsBeyond):
    name = "few_distances"

    def more(self, real: View, fake: View) -> dict[str, Any]:
        return {"distances": np.zeros(fake.n - 1)}

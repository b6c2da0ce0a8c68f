"""What a metric must hold."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import numpy as np
from attrs import evolve

from dfukit.component import Chosen
from dfukit.errors import reason_of
from dfukit.interfaces import Metric, Score, View
from dfukit.rows import Rows
from dfukit.scoring import entries
from dfukit.testing.suite import Suite, require

WIDTH = 16
"""Features, and classes of the logits."""
READS = ("features", "logits", "pixels", "pixels+features")
BETTER = ("lower", "higher", "neither")


class MetricSuite(Suite):
    """Finite figures under stable names, by which a set is nearer to its other half than noise is."""

    kind: ClassVar[str] = "metric"
    interface: ClassVar[type] = Metric
    count: int = 60
    """Pictures in a set, for metrics that need more."""

    def make(self, chosen: Chosen) -> Any:
        return chosen.make()

    def halves(self) -> tuple[View, View]:
        """One set of pictures, cut in two."""
        whole, n = _good(2 * self.count, self.size), self.count
        return whole.take(np.arange(n)), whole.take(np.arange(n, 2 * n))

    def noise(self) -> View:
        return _noise(self.count, self.size)

    def measure(self, real: View, fake: View) -> dict[str, Score]:
        """The figures of two sets, handed over as a scoring does."""
        metric = self.build()
        real, fake = (_handed(view, metric.reads) for view in (real, fake))
        try:
            scores: dict[str, Score] = metric.measure(real, fake, np.random.default_rng(0))
        except Exception as error:
            raise AssertionError(
                f"measure() fails: {reason_of(error)}. Views hold what `reads` names ({metric.reads}), labels and "
                "groups where they are known, and pixels that come into memory where they are indexed"
            ) from error
        require(scores and isinstance(scores, dict), "measure() must return a dict with at least one score")
        for name, score in scores.items():
            require(isinstance(score, Score), f"{name} must be a Score, got {type(score).__name__}")
        return scores

    def test_it_says_what_it_reads(self) -> None:
        metric = self.build()
        reads, better = getattr(metric, "reads", None), metric.better
        require(reads in READS, f"reads must be one of {', '.join(READS)}, got {reads!r}")
        require(better in BETTER, f"better must be one of {', '.join(BETTER)}, got {better!r}")

    def test_figures_are_finite(self) -> None:
        one, other = self.halves()
        for fake in (other, self.noise()):
            for name, score in self.measure(one, fake).items():
                require(
                    score.value is not None,
                    f"{name} gives no value of {self.count} pictures in each set ({score.reason}): "
                    "give the suite a larger `count`, or other `settings`",
                )
                require(_finite(score.value), f"{name} must be a finite number, got {score.value}")
                require(score.n == (one.n, fake.n), f"{name} says n = {score.n}, of sets of {(one.n, fake.n)}")
                if score.interval is not None:
                    low, high = score.interval
                    require(_finite(low, high) and low <= high, f"{name}: {score.interval} is no interval")

    def test_names_are_stable(self) -> None:
        one, other = self.halves()
        first, second = list(self.measure(one, other)), list(self.measure(one, self.noise()))
        require(first == second, f"the names of scores change with the pictures: {first}, then {second}")
        foreign = [name for name in first if not name.startswith(self.component)]
        require(not foreign, f"names of scores must begin with {self.component}, got {', '.join(foreign)}")

    def test_labels_and_groups_may_be_unknown(self) -> None:
        one, other = (evolve(view, labels=None, groups=None) for view in self.halves())
        self.measure(one, other)

    def test_scores_json_can_hold_what_it_says(self) -> None:
        metric, (one, other) = self.build(), self.halves()
        # An audit has something to say of copies, and sees held-out pictures.
        real, fake = (evolve(one, held_out=other), one) if metric.audit else (one, other)
        for name, score in self.measure(real, fake).items():
            inside = all(0 <= found.fake < fake.n and 0 <= found.real < real.n for found in score.found)
            require(inside, f"{name} objects to pictures that are not in the views: `found` holds their places")
            if score.distances is not None:
                given = len(score.distances)
                require(given == fake.n, f"{name} gives {given} distances of {fake.n} synthetic pictures")
            try:
                said = entries.audited(score, metric, (), ()) if metric.audit else entries.entry(score, metric)
                json.dumps(said, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise AssertionError(f"scores.json cannot hold {name}: {error}") from None

    def test_the_same_sets_give_the_same_figures(self) -> None:
        one, other = self.halves()
        first, second = ({name: score.value for name, score in self.measure(one, other).items()} for _ in range(2))
        require(first == second, f"figures differ between calls: {first}, then {second}; draw with `rng`")

    def test_a_set_against_its_other_half_beats_noise(self) -> None:
        better = self.build().better
        one, other = self.halves()
        # A copy alarm is no quality: it must tell the copies from noise, whichever way it points.
        near, far = self.measure(one, one if better == "neither" else other), self.measure(one, self.noise())
        for name, score in near.items():
            a, b = score.value, far[name].value if name in far else None
            require(a is not None and b is not None, f"{name} gives no value")
            if a is not None and b is not None:
                beats = {"lower": a < b, "higher": a > b, "neither": a != b}[better]
                require(beats, f"{name} is {a:.4g} for real pictures and {b:.4g} for noise, {better} being better")


def _finite(*values: float | None) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def _handed(view: View, reads: str) -> View:
    """The view with nothing but what a metric reads, and what is known of the pictures."""
    asked = reads.split("+")
    return View(
        features=view.features if "features" in asked else None,
        logits=view.logits if "logits" in asked else None,
        pixels=Rows(view.pixels, np.arange(view.n)) if "pixels" in asked and view.pixels is not None else None,
        labels=view.labels,
        groups=view.groups,
        held_out=None if view.held_out is None else _handed(view.held_out, reads),
    )


def _good(n: int, size: int) -> View:
    """Smooth pictures with the features of one Gaussian, each sure of its class, every class as often."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 0.1, (n, WIDTH))
    logits[np.arange(n), rng.permutation(n) % WIDTH] += 8.0
    coarse = rng.integers(60, 200, (n, 3, 4, 4))
    pixels = coarse.repeat(-(-size // 4), 2).repeat(-(-size // 4), 3)[:, :, :size, :size].astype(np.uint8)
    return View(rng.normal(1.0, 1.0, (n, WIDTH)), logits, pixels, np.arange(n) % 2, np.arange(n))


def _noise(n: int, size: int) -> View:
    """Independent pixels, features elsewhere and wider, no class preferred."""
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (n, 3, size, size)).astype(np.uint8)
    features, logits = rng.normal(-2.0, 3.0, (n, WIDTH)), rng.normal(0.0, 0.1, (n, WIDTH))
    return View(features, logits, pixels, np.arange(n) % 2, np.arange(n))

"""Metrics on sets of pictures. The core knows interfaces only: each extractor runs once over each set, and every
distance gets what it needs to be read, the real-against-real value and an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from dfukit.component import Chosen
from dfukit.device import Compute
from dfukit.errors import DfukitError
from dfukit.interfaces import Extractor, Metric, Score, Step, View
from dfukit.progress import Progress
from dfukit.registry import Registry
from dfukit.rows import Pixels
from dfukit.scoring.extraction import Extractors, Sets, Settings
from dfukit.world import ALONE, World

MIN_PICTURES = 10
"""Pictures below which a set is not scored."""
HALVINGS = 10
"""Random halvings behind a real-against-real value and an interval."""
STUDENT_95 = 2.262157
"""The 97.5% quantile of Student's t with HALVINGS - 1 degrees of freedom."""


def score(
    parts: Mapping[str, Pixels],
    fake: Pixels,
    metrics: Sequence[Chosen],
    registry: Registry,
    *,
    extractor: str,
    extractor_settings: Settings,
    groups: Mapping[str, np.ndarray],
    pictures: int,
    compute: Compute,
    seed: int,
    progress: Progress,
    world: World = ALONE,
) -> dict[str, dict[str, Any]]:
    """The content of scores.json: {metric: {"value", "n", "interval", "real_vs_real", "reason", ...}}.

    `parts` are the real pictures, uint8 [N, S, S, 3] each; `fake` are the synthetic ones, of the same size. The first
    part (training) gives the plain keys, `fid`; a further part (test) gives `fid@test`, and stands in for the fakes in
    the real-against-real value of metrics without a floor, as PSNR, which are measured against the first part only.
    `extractor` is that of metrics that take any, a name or auto; its settings are among `extractor_settings`, by name.
    `groups` holds the patients [N] of parts where they are known; of larger sets `pictures` are drawn at random.

    real_vs_real is the median over random halvings of the real part (by patient where they are known), a half against
    the other; `at_half` beside it is the median of the fakes against such halves at that same number, `n_half` (at
    their own where they are fewer). The interval is the metric's own where it gives one (a jackknife for kernel
    distances); else the value plus and minus Student's t times the standard deviation between random halves of both
    sets, the delete-half jackknife: it shows the noise of sampling, not the bias of a small set, and is wide rather
    than narrow (1.2 to 1.6 times the true standard deviation of Fréchet distances in simulations). Everything is a
    function of the seed.

    Where an extractor cannot be had, the value is null with the reason, and the metrics suggested in place of those are
    added. Several processes share the extraction. Raises ConfigError for an unknown extractor.
    """
    sets = Sets({**parts, "synthetic": fake}, groups, pictures, Step(seed, 0), compute, progress, world)
    extractors = Extractors(registry, extractor, extractor_settings, progress)
    content: dict[str, dict[str, Any]] = {}
    queue = list(metrics)
    for chosen in queue:
        metric: Metric = chosen.build()
        name, network, missing = chosen.name, None, None
        if metric.reads != "pixels":
            try:
                taken, network = extractors.of(metric)
                name = chosen.name if metric.extractor else f"{chosen.name}[{taken}]"
            except DfukitError as error:
                if metric.extractor is None:
                    raise
                missing = str(error)
                queue += _substitutes(chosen, registry, {other.name for other in queue})
        bench = _Bench(chosen, metric, network, sets, progress)
        for part in parts if metric.floor else [_first(parts)]:
            end = "" if part == _first(parts) else f"@{part}"
            if missing is not None:
                content[f"{name}{end}"] = bench.without(part, missing)
                continue
            for own, entry in bench.measure(part, next((other for other in parts if other != part), None)).items():
                content[f"{own}{name.removeprefix(chosen.name)}{end}"] = entry
    return content


def _first(parts: Mapping[str, Pixels]) -> str:
    return next(iter(parts))


def _substitutes(chosen: Chosen, registry: Registry, queued: set[str]) -> list[Chosen]:
    """What a metric suggests in its place where its extractor cannot be had."""
    suggested: Mapping[str, Any] = chosen.component.suggests.get("metric", {})
    return [
        registry.choose("metric", name, values, f"metric.{name}")
        for name, values in suggested.items()
        if name not in queued
    ]


@frozen
class _Halvings:
    """The values of one figure over HALVINGS random halvings of the real set, `n` pictures in a half."""

    n: int
    floors: list[float]
    """One half against the other."""
    fakes: list[float]
    """As many fakes against one half."""
    spread: list[float]
    """Half of the fakes against one half."""

    def margin(self) -> float:
        """Half the width of the interval. Deleting halves of both sets spreads a figure as sampling them whole does."""
        return STUDENT_95 * float(np.std(self.spread, ddof=1))


@frozen(eq=False)
class _Bench:
    """One metric with what it measures on."""

    chosen: Chosen
    metric: Metric
    extractor: Extractor | None
    sets: Sets
    progress: Progress

    def without(self, part: str, reason: str) -> dict[str, Any]:
        """The entry of a figure that could not be had."""
        return _entry(Score(None, self._n(part), reason=reason), self.metric, None, None)

    def measure(self, part: str, held_out: str | None) -> dict[str, dict[str, Any]]:
        """Entries of scores.json by the metric's own names, the fakes against one real part."""
        real, fake = self._n(part)
        if min(real, fake) < MIN_PICTURES:
            reason = f"needs at least {MIN_PICTURES} pictures in each set, got {real} real and {fake} synthetic"
            return {self.chosen.name: self.without(part, reason)}
        try:
            return self._measure(part, held_out)
        # A metric or extractor of a plugin may raise anything: the other scores of a long run must not be lost with it.
        except Exception as error:
            culprit = f"{self.chosen.name} of {self.chosen.package} {self.chosen.version}"
            reason = f"{culprit} failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.progress.say(reason)
            return {self.chosen.name: self.without(part, reason)}

    def _n(self, part: str) -> tuple[int, int]:
        return self.sets.count(part), self.sets.count("synthetic")

    def _measure(self, part: str, held_out: str | None) -> dict[str, dict[str, Any]]:
        real, fake = self.sets.view(part, self.extractor), self.sets.view("synthetic", self.extractor)
        if getattr(real, self.metric.reads) is None:
            return {self.chosen.name: self.without(part, f"the extractor has no {self.metric.reads}")}
        scores = self._call(real, fake, part)
        halvings = self._halvings(real, fake, part) if self.metric.floor else {}
        reference = self._held_out(real, held_out, scores)
        return {
            name: _entry(score, self.metric, halvings.get(name), reference.get(name)) for name, score in scores.items()
        }

    def _call(self, real: View, fake: View, purpose: str) -> dict[str, Score]:
        return {name: _finite(score) for name, score in self.metric.measure(real, fake, self._rng(purpose)).items()}

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(self.sets.step.seed_of(f"{self.chosen.name} {purpose}"))

    def _held_out(self, real: View, held_out: str | None, scores: Mapping[str, Score]) -> dict[str, Score]:
        """Held-out real pictures in the fakes' place, where the metric has no floor and no reference of its own."""
        if self.metric.floor or held_out is None or self.sets.count(held_out) < MIN_PICTURES:
            return {}
        if all(score.real_vs_real is not None or score.value is None for score in scores.values()):
            return {}
        return self._call(real, self.sets.view(held_out, self.extractor), held_out)

    def _halvings(self, real: View, fake: View, part: str) -> dict[str, _Halvings]:
        """Random halves of the real set against each other, and as many fakes against the one half."""
        half = real.n // 2
        if min(half, fake.n) < MIN_PICTURES:
            return {}
        rng = self._rng(f"halves of {part}")
        found: dict[str, tuple[list[float], list[float], list[float]]] = {}
        for _ in range(HALVINGS):
            order, fakes = _by_group(real, rng), rng.permutation(fake.n)
            one = real.take(order[:half])
            floor = self._call(one, real.take(order[-half:]), part)
            equal = self._call(one, fake.take(fakes[:half]), part)
            spread = equal
            if fake.n // 2 != half and any(score.interval is None for score in equal.values()):
                spread = self._call(one, fake.take(fakes[: max(fake.n // 2, 2)]), part)
            for name in floor:
                for values, scores in zip(found.setdefault(name, ([], [], [])), (floor, equal, spread), strict=True):
                    if name in scores and (value := scores[name].value) is not None:
                        values.append(value)
        return {
            name: _Halvings(half, *values)
            for name, values in found.items()
            if all(len(series) == HALVINGS for series in values)
        }


def _by_group(view: View, rng: np.random.Generator) -> np.ndarray:
    """A random order of the pictures that keeps those of one patient together, so that halves share at most one."""
    if view.groups is None:
        return rng.permutation(view.n)
    group = np.unique(view.groups, return_inverse=True)[1]
    return np.argsort(rng.permutation(int(group.max()) + 1)[group], kind="stable")


def _finite(score: Score) -> Score:
    """The score with every number that is not finite left out: JSON has none."""
    if score.value is not None and not math.isfinite(score.value):
        score = evolve(score, value=None, reason=f"not a finite number ({score.value})")
    if score.interval is not None and not all(math.isfinite(end) for end in score.interval):
        score = evolve(score, interval=None)
    if score.real_vs_real is not None and not math.isfinite(score.real_vs_real):
        score = evolve(score, real_vs_real=None)
    return score


def _entry(score: Score, metric: Metric, halvings: _Halvings | None, held_out: Score | None) -> dict[str, Any]:
    value, interval, reference = score.value, score.interval, score.real_vs_real
    if reference is None and held_out is not None:
        reference = held_out.value
    entry: dict[str, Any] = {"better": metric.better}
    if halvings is not None:
        reference = float(np.median(halvings.floors)) if reference is None else reference
        entry |= {"at_half": float(np.median(halvings.fakes)), "n_half": halvings.n}
        if interval is None and value is not None:
            interval = (value - halvings.margin(), value + halvings.margin())
    return entry | {
        "value": value,
        "n": list(score.n),
        "interval": list(interval) if interval is not None and value is not None else None,
        "real_vs_real": reference,
        "reason": score.reason,
    }

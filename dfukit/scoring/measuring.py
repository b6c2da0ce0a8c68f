"""Metrics on sets of pictures. The core knows interfaces only: each extractor runs once over each set, and every
distance gets what it needs to be read, the real-against-real value and an interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from attrs import frozen

from dfukit.component import Chosen
from dfukit.device import Compute
from dfukit.progress import Progress
from dfukit.registry import Registry
from dfukit.rows import Pixels
from dfukit.scoring.bench import Bench, Entries
from dfukit.scoring.entries import Entry, without
from dfukit.scoring.extraction import Extractors, Settings
from dfukit.scoring.plan import Reads, Task, plan
from dfukit.scoring.sets import SYNTHETIC, Pictures, Sets, Views
from dfukit.world import ALONE, World


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
    labels: Mapping[str, np.ndarray] | None = None,
    classes: Sequence[str] = (),
    names: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Entry]:
    """The content of scores.json: {metric: {"value", "n", "interval", "real_vs_real", "reason", ...}}.

    `parts` are the real pictures, uint8 [N, S, S, 3] each; `fake` are the synthetic ones, of the same size. The first
    part (training) gives the plain keys, `fid`; a further part (test) gives `fid@test`, and stands in for the fakes in
    the real-against-real value of metrics without a floor, as PSNR, which are measured against the first part only.
    `extractor` is that of metrics that take any, a name or auto; its settings are among `extractor_settings`, by name.
    `groups` holds the patients [N] of parts where they are known; `labels` the class indices [N], and `names` what the
    pictures are called, of parts and of "synthetic", where they are known; `classes` are the names of the classes.
    Of larger sets `pictures` are drawn at random, for all metrics but audits.

    real_vs_real is the median over random halvings of the real part (by patient where they are known), a half against
    the other, and `floor` the smallest and the largest of them; `at_half` beside it is the median of the fakes against
    such halves at that same number, `n_half` (at their own where they are fewer), with a `note` where that is no worse
    than the worst half. The interval is the metric's own where it gives one (a jackknife for kernel distances); else
    the value plus and minus Student's t times the standard deviation between random halves of both sets, the
    delete-half jackknife: it shows the noise of sampling, not the bias of a small set, and is wide rather than narrow
    (1.2 to 1.6 times the true standard deviation of Fréchet distances in simulations). `classes` holds the same for
    each class, of metrics that have a floor. An audit has its own name as key, `pictures` with what it objects to, and
    `distances`, one for each synthetic picture, which are no part of scores.json. Everything is a function of the seed.

    Where an extractor cannot be had, the value is null with the reason, and the metrics suggested in place of those are
    added. Several processes share the extraction. Raises ConfigError for an unknown extractor.
    """
    extractors = Extractors(registry, extractor, extractor_settings, progress)
    tasks = plan(metrics, registry, extractors)
    known, called = labels or {}, names or {}
    sets = {
        name: Pictures(pixels, groups.get(name), known.get(name), called.get(name, ()))
        for name, pixels in {**parts, SYNTHETIC: fake}.items()
    }
    views = Sets(sets, classes, pictures, seed, extractors, compute, progress, world)
    return measure(tasks, views, progress).scores


@frozen
class Measured:
    """The content of scores.json, and what plugins raised on the way."""

    scores: dict[str, Entry]
    failures: Sequence[str]


def measure(tasks: Sequence[Task], views: Views, progress: Progress) -> Measured:
    """All figures of all tasks, in their order."""
    bench = Bench(views, progress)
    first = views.parts[0]
    entries: dict[str, Entries] = {part: {} for part in views.parts}
    # Audits see all pictures of a set, the others perhaps some of them: then nothing is extracted twice.
    for task in tasks:
        if task.metric.audit and task.missing is None:
            entries[first][task] = bench.audit(task, first, _beside(views, first))
    for some in _by_reads(tasks):
        for part in views.parts:
            if on_part := [task for task in some if part == first or task.metric.floor]:
                entries[part] |= bench.measure(on_part, part, _beside(views, part))
    scores: dict[str, Entry] = {}
    for task in tasks:
        for part in views.parts if task.metric.floor and not task.metric.audit else views.parts[:1]:
            end = "" if part == first else f"@{part}"
            if task.missing is not None:
                n = views.count(part), views.count(SYNTHETIC)
                scores[f"{task.chosen.name}{end}"] = without(task.metric, n, task.missing)
            for name, entry in entries[part].get(task, {}).items():
                scores[f"{name}{task.suffix}{end}"] = entry
    return Measured(scores, bench.failures)


def _beside(views: Views, part: str) -> str | None:
    """The other part of the real set, if any."""
    return next((other for other in views.parts if other != part), None)


def _by_reads(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """The metrics that can be measured, those together that read the same."""
    together: dict[Reads, list[Task]] = {}
    for task in tasks:
        if task.missing is None and not task.metric.audit:
            together.setdefault(task.reads, []).append(task)
    yield from together.values()

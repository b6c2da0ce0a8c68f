"""Metrics on sets of pictures. The core knows interfaces only: each extractor runs once over each set, and every
distance gets what it needs to be read, the real-against-real value and an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dfukit.component import Chosen
from dfukit.device import Compute
from dfukit.progress import Progress
from dfukit.registry import Registry
from dfukit.rows import Pixels
from dfukit.scoring.cache import default_cache
from dfukit.scoring.entries import Entry
from dfukit.scoring.extraction import Extractors, Settings
from dfukit.scoring.kept import keep_outputs
from dfukit.scoring.measuring import measure
from dfukit.scoring.plan import plan
from dfukit.scoring.sets import Pictures, Sets
from dfukit.scoring.views import SYNTHETIC
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
    keep: Path | None = None,
) -> dict[str, Entry]:
    """The content of scores.json: {metric: {"value", "n", "interval", "real_vs_real", "reason", ...}}.

    `parts` are the real pictures, uint8 [N, S, S, 3] each; `fake` are the synthetic ones, of the same size. The first
    part (training) gives the plain keys, `fid`; a further part (test) gives `fid@test`, and stands in for the fakes in
    the real-against-real value of metrics without a floor, as PSNR, which are measured against the first part only.
    `extractor` is that of metrics that take any, a name or auto; its settings are among `extractor_settings`, by name.
    `groups` holds the patients [N] of parts where they are known; `labels` the class indices [N], and `names` what the
    pictures are called, of parts and of "synthetic", where they are known; `classes` are the names of the classes.
    Into the folder `keep` goes what the extractors made, from which `rescore` computes the figures again.
    Of larger sets `pictures` are drawn at random, for all metrics but audits.

    real_vs_real is the median over random halvings of the real part (by patient where they are known), a half against
    the other, and `floor` the smallest and the largest of them; `at_half` beside it is the median of the fakes against
    such halves at that same number, `n_half` (where there are fewer fakes than that, as many of each half), with a
    `note` where that is no worse than the worst half. The interval is the metric's own where it gives one (a jackknife
    for kernel distances); else the value plus and minus Student's t times the standard deviation between random halves
    of both sets, the delete-half jackknife: it shows the noise of sampling, not the bias of a small set, and is wide
    rather than narrow (1.2 to 1.6 times the true standard deviation of Fréchet distances in simulations). `classes`
    holds the same for each class, of metrics that have a floor. An audit has its own name as key, `pictures` with what
    it objects to, and `distances`, one for each synthetic picture, which are no part of scores.json. Everything is a
    function of the seed.

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
    views = Sets(sets, classes, pictures, seed, extractors, compute, progress, default_cache(progress), world)
    measured = measure(tasks, views, progress)
    if keep is not None and world.first:
        keep_outputs(keep, tasks, views, extractors)
    return measured.scores

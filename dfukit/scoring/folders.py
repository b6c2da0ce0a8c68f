"""Scores of two folders, or two arrays, of pictures; from the cache where everything is as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve

from dfukit import device as devices
from dfukit import registry as registries
from dfukit.device import Compute
from dfukit.images.decode import SIDE, has_heic
from dfukit.progress import Progress, Silent
from dfukit.registry import Registry
from dfukit.scoring import content, matching
from dfukit.scoring.cache import circumstances, default_cache, identity
from dfukit.scoring.entries import Entry
from dfukit.scoring.extraction import Extractors, Settings
from dfukit.scoring.measuring import measure
from dfukit.scoring.plan import Task, plan
from dfukit.scoring.reading import Decoded, Source, pictures, real_parts
from dfukit.scoring.sets import Pictures, Sets
from dfukit.scoring.views import SYNTHETIC
from dfukit.sections import RunSettings, ScoreSettings


def score_folders(
    real: str | Path | np.ndarray,
    fake: str | Path | np.ndarray,
    *,
    metrics: Sequence[str] = (),
    extractor: str = "",
    label: str = "",
    metric_settings: Settings | None = None,
    extractor_settings: Settings | None = None,
    device: str = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Entry]:
    """Scores of synthetic pictures against real ones, in the shape of scores.json (`dfukit.scoring.score`).

    A set is a folder of pictures of any size, an array uint8 [N, S, S, 3], or a run folder, which stands for its
    synthetic pictures, and as `real` for the training and the test part of the pictures that it was made of. All come
    to one size by one path: the smallest of the sets' median widths, at most 256. Labels are those of a manifest.csv
    with path,label in the folder, else the folders right below it; pictures lying loose have none. `label` scores
    one class alone; audits look at its synthetic pictures beside the real ones of all classes. Settings of metrics
    and extractors are by name. Whatever is left empty is as in the configuration's defaults.

    Raises DataError where a set has fewer than 10 usable pictures, where a label of one set is lacking in the other,
    and where pictures of the one are byte for byte in the other, unless audits alone are asked for, which find those.
    """
    settings, progress = ScoreSettings(), progress or Silent()
    registry = registries.load()
    chosen = [
        registry.choose("metric", name, (metric_settings or {}).get(name, {}), f"metric.{name}")
        for name in dict.fromkeys(metrics or settings.metrics)
    ]
    _check_settings(registry, metric_settings or {}, extractor_settings or {})
    compute = devices.choose(evolve(RunSettings(), device=device or RunSettings().device))
    everybody, synthetic = real_parts(real, registry, progress), pictures(fake, SYNTHETIC)
    if label:
        synthetic = synthetic.of_label(label)
    extractors = Extractors(registry, extractor or settings.extractor, extractor_settings or {}, progress)
    tasks = plan(chosen, registry, extractors)
    audits = [task for task in tasks if task.metric.audit]
    others = [task for task in tasks if not task.metric.audit]
    parts, classes = everybody, tuple[str, ...]()
    if others:
        if label:
            parts = {name: part.of_label(label) for name, part in parts.items()}
        classes = matching.common_classes(parts, synthetic)
        matching.refuse_shared(parts, synthetic)

    def scores(tasks: Sequence[Task], real: Mapping[str, Source]) -> dict[str, Entry]:
        return _scores(tasks, {**real, SYNTHETIC: synthetic}, classes, extractors, compute, seed, progress)

    if not (label and audits and others):
        return scores(tasks, parts)
    # A copy may bear another label than the photograph.
    return {**scores(audits, everybody), **scores(others, parts)}


def _scores(
    tasks: Sequence[Task],
    sources: Mapping[str, Source],
    classes: Sequence[str],
    extractors: Extractors,
    compute: Compute,
    seed: int,
    progress: Progress,
) -> dict[str, Entry]:
    """Figures of the set SYNTHETIC against the others, of which the first is what it was made of."""
    settings, cache = ScoreSettings(), default_cache(progress)
    key = {**_key(sources, tasks, extractors, compute), "seed": seed, "pictures": settings.pictures}
    known = cache.scores(key)
    if known is not None:
        for line in known["left_out"]:
            progress.say(line)
        progress.say("from the cache: these pictures were scored before, with the same weights and versions")
        return dict(known["scores"])

    decoded = {name: source.decode(progress) for name, source in sources.items()}
    left_out = [line for some in decoded.values() for line in some.left_out]
    for line in left_out:
        progress.say(line)
    for name in (next(iter(sources)), SYNTHETIC):
        matching.refuse_few(sources[name].place, len(decoded[name].kept))
    size = min(SIDE, *(some.width for some in decoded.values()))
    patients = sorted({patient for source in sources.values() for patient in source.patients or ()})
    number = {patient: i for i, patient in enumerate(patients)}  # the same for one patient in all sets
    sets = {name: _set(sources[name], some, size, classes, number) for name, some in decoded.items()}
    views = Sets(sets, classes, settings.pictures, seed, extractors, compute, progress, cache)
    measured = measure(tasks, views, progress)
    for entry in measured.scores.values():
        entry.pop("distances", None)
    if not measured.failures and not any(some.passing for some in decoded.values()):
        cache.keep_scores(key, {"left_out": left_out, "scores": measured.scores})
    return measured.scores


def _check_settings(registry: Registry, metrics: Settings, extractors: Settings) -> None:
    """Raise ConfigError for settings of what is not installed, or that it does not have, even where it goes unused."""
    for kind, settings in (("metric", metrics), ("extractor", extractors)):
        for name, values in settings.items():
            registry.choose(kind, name, values, f"{kind}.{name}")


def _set(source: Source, decoded: Decoded, size: int, classes: Sequence[str], number: Mapping[str, int]) -> Pictures:
    labels = patients = None
    if classes and source.labels is not None:
        labels = np.array([classes.index(source.labels[i]) for i in decoded.kept], np.int64)
    if source.patients is not None:
        patients = np.array([number[source.patients[i]] for i in decoded.kept], np.int64)
    return Pictures(decoded.at(size), patients, labels, [source.names[i] for i in decoded.kept])


def _key(
    sources: Mapping[str, Source], tasks: Sequence[Task], extractors: Extractors, compute: Compute
) -> dict[str, Any]:
    """All that the scores depend on, by content; names of pictures where an audit would name them."""
    named = any(task.metric.audit for task in tasks)
    return {
        "sets": {
            name: content.of_table([source.digests, source.labels, source.patients, source.how, named and source.names])
            for name, source in sources.items()
        },
        "metrics": [[identity(task.chosen), task.extractor, task.missing] for task in tasks],
        "extractors": {task.extractor: extractors.identity(task.extractor) for task in tasks if task.extractor},
        "heic": has_heic(),
        **circumstances(compute.device.type),
    }

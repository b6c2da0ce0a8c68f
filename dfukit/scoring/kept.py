"""What the extractors made of a run's pictures, kept beside its scores so that these can be computed again.

A file for each extractor holds, for each set, features, logits, labels and patients as numbers; no path and no name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfukit import registry as registries
from dfukit import settings
from dfukit.errors import ConfigError, DataError, PluginError
from dfukit.interfaces import Metric, View
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.scoring.cache import read_tensors, write_tensors
from dfukit.scoring.entries import Entry
from dfukit.scoring.extraction import Extractors
from dfukit.scoring.measuring import measure
from dfukit.scoring.plan import Reads, Task
from dfukit.scoring.views import SYNTHETIC, Views

KINDS = ("features", "logits", "labels", "groups")


def keep_outputs(folder: Path, tasks: Sequence[Task], views: Views, extractors: Extractors) -> None:
    """Write a file for each extractor whose features or logits were measured; older files are removed."""
    by_extractor: dict[str, list[Task]] = {}
    for task in tasks:
        if task.extractor is not None and "pixels" not in task.metric.reads:
            by_extractor.setdefault(task.extractor, []).append(task)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    for name, some in by_extractor.items() if views.count(SYNTHETIC) else ():
        made = views.made((name, False))
        if not {*views.parts, SYNTHETIC} <= made.keys():  # the extractor failed
            continue
        tensors = {
            f"{one}.{kind}": values
            for one, view in made.items()
            for kind in KINDS
            if (values := getattr(view, kind)) is not None
        }
        identity = extractors.identity(name)
        facts = {
            # Its settings may hold a path.
            "extractor": {key: identity[key] for key in ("name", "package", "version", "weights")},
            "metrics": [_description(task) for task in some],
            "parts": list(views.parts),
            "classes": list(views.classes),
            "seed": views.seed,
        }
        write_tensors(
            folder / f"{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}.safetensors", tensors, facts
        )


def rescore(run: RunDir) -> dict[str, Entry]:
    """The entries of scores.json that read features or logits, computed again from those that the run kept.

    On the same machine, with the same versions and number of threads, they are equal to the bit. Those of metrics that
    are not installed are left out. Empty where nothing was kept. Raises DataError where a file is damaged.
    """
    scores: dict[str, Entry] = {}
    for path in sorted(run.features.glob("*.safetensors")):
        try:
            tensors, facts = read_tensors(path)
            views, tasks = _Kept(tensors, facts), _tasks(facts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged ({error}): score the run anew") from None
        scores |= measure(tasks, views, Silent()).scores
    return scores


def _description(task: Task) -> dict[str, Any]:
    return {"name": task.chosen.name, "settings": settings.as_table(task.chosen.settings)}


def _tasks(facts: Mapping[str, Any]) -> list[Task]:
    registry = registries.load()
    tasks = []
    for one in facts["metrics"]:
        try:
            chosen = registry.choose("metric", one["name"], one["settings"], f"metric.{one['name']}")
        except (ConfigError, PluginError):  # of a plugin that is not here: the others can be had
            continue
        metric: Metric = chosen.build()
        tasks.append(Task(chosen, metric, facts["extractor"]["name"]))
    return tasks


class _Kept(Views):
    """The views of a scoring from one file."""

    def __init__(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        sets: dict[str, dict[str, np.ndarray]] = {}
        for key, values in tensors.items():
            name, _, kind = key.rpartition(".")
            sets.setdefault(name, {})[kind] = values
        labelled = {name for name, some in sets.items() if "labels" in some}
        super().__init__(facts["parts"], facts["classes"], labelled, facts["seed"])
        self._kept = {
            name: View(some.get("features"), some.get("logits"), None, some.get("labels"), some.get("groups"))
            for name, some in sets.items()
        }

    def count(self, name: str) -> int:
        return self._kept[name].n

    def scored(self, name: str, reads: Reads) -> View:
        return self._kept[name]

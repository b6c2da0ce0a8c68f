"""All figures of a scoring, in order: audits first, then metrics together that read the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from dfukit.progress import Progress
from dfukit.scoring.bench import Bench, Entries
from dfukit.scoring.entries import Entry, without
from dfukit.scoring.plan import Reads, Task
from dfukit.scoring.views import SYNTHETIC, Views


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

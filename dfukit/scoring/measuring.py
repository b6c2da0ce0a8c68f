"""All figures of a scoring, in order: audits first, then metrics together that read the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from dfukit.progress import Progress
from dfukit.release import AUDIT
from dfukit.scoring.bench import Bench, Entries
from dfukit.scoring.entries import Entry, without
from dfukit.scoring.plan import Reads, Task
from dfukit.scoring.views import SYNTHETIC, Views


@frozen
class Measured:
    """The content of scores.json, and what plugins raised on the way."""

    scores: dict[str, Entry]
    failures: Sequence[str]


@frozen
class _Figure:
    """A figure by the name that its metric gives it, and what that name ends with in scores.json."""

    task: Task
    name: str
    end: str
    entry: Entry

    @property
    def key(self) -> str:
        return f"{self.name}{self.end}"


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
    figures: list[_Figure] = []
    for task in tasks:
        for part in views.parts if task.metric.floor and not task.metric.audit else views.parts[:1]:
            end = task.suffix + ("" if part == first else f"@{part}")
            found = entries[part].get(task, {})
            if task.missing is not None:
                n = views.count(part), views.count(SYNTHETIC)
                found = {task.chosen.name: without(task.metric, n, task.missing)}
            figures += [_Figure(task, name, end, entry) for name, entry in found.items()]
    return Measured(_keyed(figures, bench.failed), bench.failures)


def _keyed(figures: Sequence[_Figure], failed: Callable[[str], None]) -> dict[str, Entry]:
    """Entries by their keys in scores.json. Of two metrics that give the same key, the one that is called so has it, or
    else the first; the other's figure is an entry that failed. The key of the audit, which a run scores apart, is that
    of no other metric."""
    owners: dict[str, Task] = {}
    for figure in sorted(figures, key=lambda figure: figure.name != figure.task.chosen.name):
        if figure.key != AUDIT or figure.task.chosen.name == AUDIT:
            owners.setdefault(figure.key, figure.task)
    scores: dict[str, Entry] = {}
    for figure in figures:
        chosen, task = figure.task.chosen, owners.get(figure.key)
        if task is not None and chosen.name == task.chosen.name:
            scores[figure.key] = figure.entry
            continue
        owner = task.chosen if task else "the audit for copies"
        reason = f"{chosen} gives the figure {figure.name}, which is that of {owner}"
        failed(reason)
        real, fake = figure.entry["n"]
        entry = without(figure.task.metric, (real, fake), reason, failed=True)
        scores[f"{figure.name} of {chosen.name}{figure.end}"] = entry
    return scores


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

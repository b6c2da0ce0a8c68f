"""Metrics at work on one real part: over all, for each class, and on random halves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from dfukit.interfaces import View
from dfukit.progress import Progress
from dfukit.scoring.entries import Entry, without
from dfukit.scoring.halvings import halvings
from dfukit.scoring.plan import Task
from dfukit.scoring.trial import MIN_PICTURES, Trial, described, too_few
from dfukit.scoring.views import SYNTHETIC, Views

Entries = dict[Task, dict[str, Entry]]
"""Entries of scores.json by the figures' own names."""


class Bench:
    """The sets of one scoring, and what went wrong on them."""

    def __init__(self, views: Views, progress: Progress) -> None:
        self._views, self._progress = views, progress
        self.failures: list[str] = []
        """What metrics of plugins raised."""

    def measure(self, tasks: Sequence[Task], part: str, held_out: str | None) -> Entries:
        """The figures of metrics that read the same, the fakes against one real part and for each class of it.

        They work side by side on the very same views, so that what one of them finds out about a pair of views can
        serve the next; the views of one halving are gone before those of the next are made.
        """
        n = self._views.count(part), self._views.count(SYNTHETIC)
        if not n[1]:  # an audit took all of them out: an extractor has nothing to see
            return {task: {task.chosen.name: without(task.metric, n, too_few(*n))} for task in tasks}
        reads = tasks[0].reads
        other = functools.partial(self._views.view, held_out, reads) if held_out is not None else None
        try:
            real, fake = self._views.view(part, reads), self._views.view(SYNTHETIC, reads)
        except Exception as error:
            return {task: self._not_extracted(task, part, error) for task in tasks}
        entries = self._pair(tasks, real, fake, part, other)
        divided = [task for task in tasks if task.metric.floor and _had(entries[task])]
        for label in self._views.labels_of(part) if divided else ():
            real, fake = self._views.view(part, reads, label), self._views.view(SYNTHETIC, reads, label)
            for task, found in self._pair(divided, real, fake, f"{part}, {label}").items():
                for name, whole in entries[task].items():
                    own = found.get(name) or found.get(task.chosen.name) or _unnamed(task, real, fake)
                    whole.setdefault("classes", {})[label] = own
        return entries

    def audit(self, task: Task, part: str, held_out: str | None) -> dict[str, Entry]:
        """What an audit says of all synthetic pictures, held-out ones standing beside the real part."""
        try:
            real, fake = self._views.whole(part, task.reads, held_out), self._views.whole(SYNTHETIC, task.reads)
        except Exception as error:
            return self._not_extracted(task, part, error)
        trial = Trial(task, real, fake, self._seed(task, part), self.failed)
        # An audit compares each picture with each: of thousands that takes many minutes.
        self._progress.say(f"{task.chosen.name}: comparing {fake.n} synthetic pictures with {real.n} real ones")
        trial.whole()
        return trial.entries((self._views.names(part), self._views.names(SYNTHETIC)))

    def failed(self, reason: str) -> None:
        """Keep and say what a metric or an extractor of a plugin did wrong; the same once only."""
        if reason not in self.failures:
            self.failures.append(reason)
            self._progress.say(reason)

    def _pair(
        self, tasks: Sequence[Task], real: View, fake: View, purpose: str, held_out: Callable[[], View] | None = None
    ) -> Entries:
        trials = [Trial(task, real, fake, self._seed(task, purpose), self.failed) for task in tasks]
        for trial in trials:
            trial.whole(held_out)
        halved = [trial for trial in trials if trial.task.metric.floor]
        # The same halves for all metrics, whatever they read.
        rng = np.random.default_rng(self._views.seed_of(f"halves of {purpose}"))
        for halving in halvings(real, fake, MIN_PICTURES, rng) if halved else ():
            one, other, equal = real.take(halving.one), real.take(halving.other), fake.take(halving.equal)
            half_real = functools.cache(functools.partial(real.take, halving.half_real))
            half = functools.cache(functools.partial(fake.take, halving.half))
            for trial in halved:
                trial.halve(one, other, equal, half_real, half)
        return {trial.task: trial.entries() for trial in trials}

    def _not_extracted(self, task: Task, part: str, error: Exception) -> dict[str, Entry]:
        """An extractor of a plugin may raise anything too."""
        reason = described(f"the extractor {task.extractor}", error)
        self.failed(reason)
        n = self._views.count(part), self._views.count(SYNTHETIC)
        return {task.chosen.name: without(task.metric, n, reason, failed=True)}

    def _seed(self, task: Task, purpose: str) -> int:
        return self._views.seed_of(f"{task.chosen.name} {purpose}")


def _unnamed(task: Task, real: View, fake: View) -> Entry:
    """The names of scores must not change with the pictures."""
    return without(task.metric, (real.n, fake.n), f"{task.chosen.name} gave no figure of that name", failed=True)


def _had(entries: dict[str, Entry]) -> bool:
    return any(entry["value"] is not None for entry in entries.values())

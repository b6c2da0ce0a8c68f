"""One metric on one pair of sets, whose failure takes no other score with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dfukit.errors import PluginError
from dfukit.interfaces import Score, View
from dfukit.scoring.entries import Entry, audited, entry, finite, without
from dfukit.scoring.halvings import Halved, degrees_of, obstacle
from dfukit.scoring.plan import Task

MIN_PICTURES = 10
"""Pictures below which a set is not scored."""


class Trial:
    """A metric on a real set and the fakes: what it measured so far, or the reason why there is nothing.

    `seed` is that of its random numbers, the same in every call; `failed` is told where the metric raised something.
    """

    def __init__(self, task: Task, real: View, fake: View, seed: int, failed: Callable[[str], None]) -> None:
        self.task, self._real, self._fake, self._seed, self._failed = task, real, fake, seed, failed
        self._reason = _obstacle(task, real, fake)
        self._broken = False
        self._scores: dict[str, Score] = {}
        self._reference: dict[str, Score] = {}
        self._halved: dict[str, Halved] = {}

    def whole(self, held_out: Callable[[], View] | None = None) -> None:
        """The figures of the whole sets; held-out pictures in the fakes' place where there is no other reference."""

        def work() -> None:
            self._scores = self._call(self._real, self._fake)
            own = all(score.real_vs_real is not None or score.value is None for score in self._scores.values())
            if not (own or self.task.metric.floor or held_out is None) and (other := held_out()).n >= MIN_PICTURES:
                self._reference = self._call(self._real, other)

        self._attempt(work)

    def halve(
        self, one: View, other: View, equal: View, half_real: Callable[[], View], half: Callable[[], View]
    ) -> None:
        """The same on one halving: a half against the other, against as many fakes, and against half of the fakes."""

        def work() -> None:
            floor, fakes = self._call(one, other), self._call(one, equal)
            spread = fakes
            if self._fake.n // 2 != one.n and any(score.interval is None for score in self._scores.values()):
                spread = self._call(half_real(), half())
            for name in floor:
                halved = self._halved.setdefault(name, Halved(one.n, degrees_of(self._real)))
                lists = (halved.floors, halved.fakes, halved.spread)
                for values, scores in zip(lists, (floor, fakes, spread), strict=True):
                    if name in scores and (value := finite(scores[name]).value) is not None:
                        values.append(value)

        self._attempt(work)

    def entries(self, names: tuple[Sequence[str], Sequence[str]] = ((), ())) -> dict[str, Entry]:
        """Entries of scores.json by the figures' own names; what an audit found, by the names of both sets' pictures.

        Where these are not known, a picture goes by its number, from 0.
        """
        metric, n = self.task.metric, (self._real.n, self._fake.n)
        if self._reason is not None:
            return {self.task.chosen.name: without(metric, n, self._reason, failed=self._broken)}
        why = obstacle(self._real, self._fake, MIN_PICTURES) if metric.floor else None
        made: dict[str, Entry] = {}
        for name, score in self._scores.items():
            try:
                if metric.audit:
                    made[name] = audited(score, metric, *names)
                else:
                    made[name] = entry(score, metric, self._halved.get(name), self._reference.get(name), why)
            # Nor must they be lost with what a score says.
            except Exception as error:
                made[name] = without(metric, n, self._blamed(error), failed=True)
        return made

    def _call(self, real: View, fake: View) -> dict[str, Score]:
        return self.task.metric.measure(real, fake, np.random.default_rng(self._seed))

    def _attempt(self, work: Callable[[], None]) -> None:
        if self._reason is not None:
            return
        try:
            work()
        # A plugin's metric may raise anything: the other scores of a long run must not be lost with it.
        except Exception as error:
            self._reason, self._broken = self._blamed(error), True

    def _blamed(self, error: Exception) -> str:
        """The reason why there is no figure, which is told."""
        chosen = self.task.chosen
        reason = described(f"{chosen.name} of {chosen.package} {chosen.version}", error)
        self._failed(reason)
        return reason


def described(culprit: str, error: Exception) -> str:
    """What a plugin raised, in one line."""
    if isinstance(error, PluginError):  # it names the culprit
        return str(error)
    return f"{culprit} failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def too_few(real: int, fake: int) -> str:
    """The reason why sets of these sizes have no figures."""
    return f"needs at least {MIN_PICTURES} pictures in each set, got {real} real and {fake} synthetic"


def _obstacle(task: Task, real: View, fake: View) -> str | None:
    """Why a metric need not be asked."""
    if min(real.n, fake.n) < MIN_PICTURES:
        return too_few(real.n, fake.n)
    for name in task.metric.reads.split("+"):
        if getattr(real, name) is None:
            return f"the extractor has no {name}"
    return None

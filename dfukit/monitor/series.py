"""A figure over the steps of a training, and how fast its events follow each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

from attrs import define, field

POINTS = 512
"""Points of a series at most: from then on, pairs become their means."""


@define
class Series:
    """A figure over the steps, in at most 512 points, and its exact lowest value."""

    lowest: float | None = None
    lowest_step: int | None = None
    last: float | None = None
    since_lowest: int = 0
    """Values since the lowest one."""
    _means: list[float] = field(factory=list)
    _each: int = 1
    _open: list[float] = field(factory=list)

    def add(self, value: float | None, step: int | None) -> None:
        """The next value; None where it is not known, which leaves no point."""
        self.last = value
        if value is None:
            return
        self.since_lowest += 1
        if self.lowest is None or value < self.lowest:
            self.lowest, self.lowest_step, self.since_lowest = value, step, 0
        self._open.append(value)
        if len(self._open) == self._each:
            self._means.append(mean(self._open))
            self._open.clear()
        if len(self._means) == POINTS:
            self._means = [mean(self._means[place : place + 2]) for place in range(0, POINTS, 2)]
            self._each *= 2

    @property
    def points(self) -> list[float]:
        return [*self._means, mean(self._open)] if self._open else list(self._means)


@define
class Pace:
    """How fast events follow each other: medians, which the break of a resumed run does not move."""

    _time: float | None = None
    _step: int | None = None
    _gaps: dict[bool, deque[float]] = field(factory=lambda: {False: deque(maxlen=64), True: deque(maxlen=16)})
    _step_seconds: deque[float] = field(factory=lambda: deque(maxlen=64))

    def add(self, when: float | None, step: int | None, evaluated: bool) -> None:
        """The next event of one training. Evaluations take their own time, and are counted apart."""
        if when is not None and self._time is not None and when >= self._time:
            self._gaps[evaluated].append(when - self._time)
            if step is not None and self._step is not None and step > self._step:
                self._step_seconds.append((when - self._time) / (step - self._step))
        self._time, self._step = when, step

    @property
    def usual_gap(self) -> float:
        """Seconds; 0 where there are not two events yet."""
        return max((median(gaps) for gaps in self._gaps.values() if gaps), default=0.0)

    @property
    def known(self) -> bool:
        """Whether it was seen how long either kind of event takes to come."""
        return all(self._gaps.values())

    @property
    def step_seconds(self) -> float | None:
        return median(self._step_seconds) if self._step_seconds else None


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""How long work says what it does: on a terminal, as plain lines, or not at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO


class Progress(Protocol):
    """What the steps of a run talk to."""

    def say(self, text: str) -> None:
        """One line that a user should read."""

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` units of a task are behind us."""


class Silent:
    """Says nothing: the default of the library."""

    def say(self, text: str) -> None:
        pass

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        pass


class Lines:
    """Plain lines on standard error, for logs: at most one for a task every `seconds`, and one at its end."""

    def __init__(self, stream: TextIO | None = None, seconds: float = 15.0) -> None:
        self._stream = stream or sys.stderr
        self._seconds = seconds
        self._started: dict[str, tuple[float, int]] = {}
        self._last: dict[str, float] = {}

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        # What was done before the first update was done by an earlier process, or in no time.
        started, before = self._started.setdefault(task, (now, done))
        if done < total and now - self._last.setdefault(task, now) < self._seconds:
            return
        self._last[task] = now
        elapsed = now - started
        if done >= total:
            left = f" in {minutes(elapsed)}"
        else:
            left = f", {minutes(elapsed / (done - before) * (total - done))} left" if done > before else ""
        self.say(f"{task}: {done}/{total}{left}{f' ({note})' if note else ''}")
        if done >= total:
            del self._started[task], self._last[task]


class Live:
    """Bars with an ETA on a terminal, by rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, object] = {}
        self._bars.start()

    def say(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note="")
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)  # type: ignore[arg-type]

    def stop(self) -> None:
        self._bars.stop()


def counter(progress: Progress, task: str) -> Callable[[int, int], None]:
    """A callback (done, total) for one task."""
    return lambda done, total: progress.update(task, done, total)


def minutes(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

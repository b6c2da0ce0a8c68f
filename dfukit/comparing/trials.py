"""Training what is compared: each contestant and seed in a process of its own, which can be stopped and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import tomli_w
from attrs import frozen

from dfukit import rundir, settings
from dfukit.errors import ConfigError, DfukitError, Interrupted
from dfukit.progress import Progress
from dfukit.rundir import RunDir
from dfukit.schedule import ALL_STEPS

LOOK = 0.2
"""Seconds between looks at the processes."""
TELL = 15.0
"""Seconds between lines on how far they are."""
LEFT, LEFT_SECONDS = 0.05, 15.0
"""Share of a time, and seconds, that may be left over, or overrun: a time becomes steps by its first ones, which may be
slower or faster than the rest."""


@frozen(eq=False)
class Trial:
    """One training: `<place>` is its run folder, `<place>.toml` what was asked for, `<place>.log` what it said."""

    contestant: str
    budget: str
    """"time" or "pictures"."""
    seed: int
    place: Path
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.contestant}, seed {self.seed}, equal {self.budget}"

    @property
    def run(self) -> RunDir:
        return RunDir(self.place)

    @property
    def asked(self) -> Path:
        return self.place.parent / f"{self.place.name}.toml"

    @property
    def log(self) -> Path:
        return self.place.parent / f"{self.place.name}.log"

    @property
    def extended(self) -> Path:
        """It is there where the training has used the time that was left over."""
        return self.place.parent / f"{self.place.name}.extended"

    @property
    def trained(self) -> bool:
        return self.run.training.is_file() and self.run.manifest.is_file()

    @property
    def left(self) -> float:
        """Seconds that its training has not used, where it has all its steps, worth training on for; else 0.

        0 where it trained on once.
        """
        budget = self.settings["gan"]["budget"]
        if not budget or not self.trained or self.extended.is_file():
            return 0.0
        ended = rundir.read_json(self.run.training)
        whole = settings.seconds(budget)
        left = float(whole - ended["seconds"])
        return left if ended["stopped"] == ALL_STEPS and left > max(LEFT * whole, LEFT_SECONDS) else 0.0

    def end_in_time(self) -> None:
        """Ask a training that has used up its time to end, which keeps its best weights."""
        budget = self.settings["gan"]["budget"]
        if not budget or not self.place.is_dir() or self.run.training.is_file():
            return
        used = [event["seconds"] for event in self.run.events() if "seconds" in event]
        whole = settings.seconds(budget)
        if used and used[-1] > whole + max(LEFT * whole, LEFT_SECONDS):
            self.run.stop.touch()

    def claim(self) -> None:
        """Write down what is asked for. Raises ConfigError where the place holds another training."""
        content = tomli_w.dumps(dict(self.settings))
        if self.asked.is_file() and self.asked.read_text("utf-8") != content:
            raise ConfigError(f"{self.asked} holds other settings than these for {self.name}: choose another --out")
        rundir.write_text(self.asked, content)

    def start(self, held: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Begin it, go on where it was interrupted, or use the time that is left. It inherits the files `held`."""
        with suppress(OSError):  # an empty folder, whose training was killed in its first moment
            self.place.rmdir()
        if self.run.config.is_file():
            what = ["--resume", str(self.place), *(["--extend", f"{left:.0f}s"] if (left := self.left) else [])]
        else:
            what = ["--config", str(self.asked), "--out", str(self.place.parent), "--name", self.place.name]
        threads = {"OMP_NUM_THREADS": str(n)} if (n := self.settings["run"].get("threads")) else {}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dfukit", "train", *what],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **threads},
                pass_fds=held,
            )

    def steps(self) -> tuple[int, int]:
        """Steps done, and those of the whole training; (0, 1) before any is known."""
        events = [event for event in self.run.events() if event.get("phase") == "gan"] if self.place.is_dir() else []
        return (int(events[-1]["step"]), int(events[-1]["steps"])) if events else (0, 1)

    def last_words(self, code: int) -> str:
        """Why it ended with this exit code."""
        if code < 0:
            return f"it was killed by signal {-code}"
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("Error: ") if lines else "it said nothing"


def train(trials: Sequence[Trial], together: int, progress: Progress) -> dict[Trial, str]:
    """Train all, so many side by side. Returns those that ended with an error, with what they said last.

    One whose steps are done with time left over trains on, once; one that is slower than it began is ended in time.

    An interruption is handed on: each saves what it knows and goes on when this is called again.
    Raises ConfigError where a place holds another training.
    """
    for trial in trials:
        trial.claim()
    waiting = [trial for trial in trials if not trial.trained or trial.left]
    if not waiting:
        return {}
    held: list[int] = []
    with ExitStack() as stack:
        for place in dict.fromkeys(trial.place.parent for trial in trials):
            taken = (
                f"another comparison, or a training that one left behind, is at work in {place}: wait for it, or "
                "choose another --out"
            )
            held += stack.enter_context(rundir.alone(place, taken))
        return _train(trials, waiting, held, together, progress)


def _train(
    trials: Sequence[Trial], waiting: list[Trial], held: Sequence[int], together: int, progress: Progress
) -> dict[Trial, str]:
    extending: set[Trial] = set()
    running: dict[Trial, subprocess.Popen[bytes]] = {}
    failed: dict[Trial, str] = {}
    told = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < together:
                trial = waiting.pop(0)
                if trial.left:
                    extending.add(trial)
                running[trial] = trial.start(held)
            time.sleep(LOOK)
            for trial in [trial for trial, process in running.items() if process.poll() is not None]:
                code = running.pop(trial).returncode
                if code in (130, -2, -15):
                    raise Interrupted(f"the training of {trial.name} was interrupted")
                if code:
                    failed[trial] = trial.last_words(code)
                    progress.say(f"{trial.name}: {failed[trial]}")
                elif not trial.trained:
                    raise DfukitError(f"the training of {trial.name} left nothing behind: see {trial.log}")
                elif trial in extending:
                    trial.extended.touch()
                elif trial.left:
                    waiting.insert(0, trial)
                told = 0.0
            if time.monotonic() - told > TELL:
                told = time.monotonic()
                for trial in running:
                    trial.end_in_time()
                ended = len(trials) - len(waiting) - len(running)
                _tell(progress, ended, len(trials), running)
        _tell(progress, len(trials), len(trials), ())
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return failed


def _tell(progress: Progress, ended: int, total: int, running: Iterable[Trial]) -> None:
    """How far all trainings are, in per cent of their steps: counting trainings alone would say nothing for hours."""
    share, notes = float(ended), [f"{ended} of {total} ended"]
    for trial in running:
        done, steps = trial.steps()
        share += done / steps
        notes.append(f"{trial.contestant} {done}/{steps}" if done else trial.contestant)
    progress.update("Training, per cent", int(100 * share / total), 100, ", ".join(notes))

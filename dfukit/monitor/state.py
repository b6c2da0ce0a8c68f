"""What is known of a run from its folder: metrics.jsonl, config.toml, training.json, and which files are there.

Every key of an event may be absent, null, or something else than it should be: then that figure is not known.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from dfukit import rundir
from dfukit.errors import DataError
from dfukit.monitor.events import from_json, number, text, whole
from dfukit.monitor.tail import Tail
from dfukit.monitor.training import Arm, Gan, Training
from dfukit.rundir import RunDir

SILENCE = 60.0
"""Seconds without an event that mean nothing, however fast events came before."""
USUAL_GAPS = 3
"""How many usual gaps between events a silence must last to mean something."""
UNKNOWN = 900.0
"""Seconds that mean nothing while it was not seen how long steps and evaluations take."""
ENDS = {"scores": "trained", "report": "classified"}
"""What a silence means in the phases in which a run may end: after `dfukit train`, and after `dfukit classify`."""


@define
class Told:
    """An alarm or a note."""

    step: int | None
    text: str
    alarm: str = ""


@define
class State:
    """A run as far as its folder tells."""

    folder: RunDir
    gan: Gan = field(factory=Gan)
    arms: dict[str, Arm] = field(factory=dict)
    alarms: list[Told] = field(factory=list)
    notes: deque[Told] = field(factory=lambda: deque(maxlen=20))
    config: Mapping[str, Any] = field(factory=dict)
    training: Mapping[str, Any] | None = None
    """Of training.json: the GAN is done."""
    events: int = 0
    unreadable: int = 0
    """Lines that are no event."""
    last_event: float | None = None
    """When the last event happened, by the clock of the run."""
    written: float | None = None
    """When the log was last written to: to resume rewrites it."""
    started: float | None = None
    """When the configuration was written."""
    judged: bool = False
    """The classifiers of these events have been judged."""
    reported: bool = False
    """The report is there, and the sums, which are written last and are the first to go when a run is made anew."""
    stop_asked: bool = False

    def add(self, line: bytes) -> None:
        """One line of metrics.jsonl."""
        try:
            event = from_json(line)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            self.unreadable += 1
            return
        self.events += 1
        when = number(event, "time")
        if when is not None:
            self.last_event = when
        adders: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "gan": self.gan.add,
            "classifier": self._add_to_arm,
            "alarm": self._add_alarm,
            "note": self._add_note,
        }
        if adder := adders.get(text(event, "phase")):
            adder(event)

    def _add_to_arm(self, event: Mapping[str, Any]) -> None:
        self.arms.setdefault(text(event, "arm") or "classifier", Arm()).add(event)

    def _add_alarm(self, event: Mapping[str, Any]) -> None:
        self.alarms.append(Told(whole(event, "step"), text(event, "text"), text(event, "alarm") or "alarm"))

    def _add_note(self, event: Mapping[str, Any]) -> None:
        self.notes.append(Told(whole(event, "step"), text(event, "text")))

    def setting(self, section: str, key: str) -> Any:
        """A value of config.toml; None where it is not there."""
        table = self.config.get(section)
        return table.get(key) if isinstance(table, Mapping) else None

    def patience(self, section: str) -> int:
        """Of the GAN or of `classify`; 0 where it never stops early or that is not known."""
        found = self.setting(section, "patience")
        return found if isinstance(found, int) else 0

    @property
    def phase(self) -> str:
        """gan, scores (and the synthetic set), classifier, report, done."""
        if self.reported:
            return "done"
        if self.arms:
            return "report" if self.judged else "classifier"
        return "gan" if self.training is None else "scores"

    @property
    def now_training(self) -> Training | None:
        """What the last events are of."""
        if self.phase == "classifier":
            return list(self.arms.values())[-1]
        return self.gan if self.phase == "gan" else None

    def silence(self, now: float) -> float | None:
        """Seconds since the last event; None before the first."""
        signs = [sign for sign in (self.last_event, self.written) if sign is not None]
        return max(now - max(signs), 0.0) if signs and self.events else None

    def status(self, now: float) -> str:
        """waiting, running, stopping, silent, trained (the GAN is done and nothing follows), classified, finished."""
        silence = self.silence(now)
        if self.phase == "done":
            return "finished"
        if silence is None:
            return "waiting"
        pace = (self.now_training or self.gan).pace
        nothing = SILENCE if pace.known or self.phase in ENDS else UNKNOWN
        if silence > max(nothing, USUAL_GAPS * pace.usual_gap) and not rundir.taken(self.folder):
            return ENDS.get(self.phase, "silent")
        return "stopping" if self.stop_asked and self.phase == "gan" else "running"

    def as_table(self, now: float) -> dict[str, Any]:
        """What `--json` prints; null is what is not known."""
        gan, distance = self.gan, self.gan.series["distance"]
        return {
            "run": self.folder.name,
            "path": str(self.folder.path),
            "status": self.status(now),
            "phase": self.phase,
            "stop_asked": self.stop_asked,
            "seconds_since_event": _rounded(self.silence(now)),
            "events": self.events,
            "unreadable_lines": self.unreadable,
            "generator": self.setting("generator", "name"),
            "classifier": self.setting("classifier", "name"),
            "gan": {
                **_place(gan, now, self.phase == "gan"),
                **gan.figures,
                "distance_name": gan.distance_name or None,
                "lowest_distance": distance.lowest,
                "lowest_distance_step": distance.lowest_step,
                "evaluations_without_improvement": gan.waited,
                "patience": self.patience("gan"),
            },
            "classifiers": {
                name: {
                    **_place(arm, now, arm is self.now_training),
                    "loss": arm.loss.last,
                    "validation_loss": arm.validation.last,
                    "lowest_validation_loss": arm.validation.lowest,
                    "lowest_validation_loss_step": arm.validation.lowest_step,
                    "epochs_without_improvement": arm.validation.since_lowest,
                    "patience": self.patience("classify"),
                    "pictures_per_second": arm.pictures_per_second,
                }
                for name, arm in self.arms.items()
            },
            "alarms": [{"step": told.step, "alarm": told.alarm, "text": told.text} for told in self.alarms],
            "notes": [{"step": told.step, "text": told.text} for told in self.notes],
            "training": self.training,
        }


@define
class Monitor:
    """A run's folder, read again and again; each reading reads only what is new."""

    folder: RunDir
    state: State = field(init=False)
    _tail: Tail = field(init=False)
    _kept: dict[Path, tuple[tuple[int, int, int], Mapping[str, Any] | None]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.state, self._tail = State(self.folder), Tail(self.folder.metrics)

    def refresh(self) -> State:
        """What is known now. Raises DataError where the folder is gone."""
        if not self.folder.path.is_dir():
            raise DataError(f"{self.folder.path} is gone: it was moved or deleted while it was watched")
        news = self._tail.read()
        if news.anew:
            self.state = State(self.folder)
        for line in news.lines:
            self.state.add(line)
        self._look_around()
        return self.state

    def _look_around(self) -> None:
        folder, state = self.folder, self.state
        state.config = self._table(folder.config, tomllib.loads) or {}
        state.training = self._table(folder.training, from_json)
        state.started, state.written = _modified(folder.config), _modified(folder.metrics)
        # A file server may have a clock of its own, and a copied log is younger than its events.
        last = min((when for when in (state.last_event, state.written) if when is not None), default=None)
        state.judged = _since(folder.classification, last)
        state.reported = state.training is not None and folder.report.is_file() and folder.sums.is_file()
        state.stop_asked = folder.stop.exists()
        gan = state.gan
        if gan.steps is None:
            gan.steps = _steps(state.setting("gan", "steps"), state.setting("gan", "epochs"), gan)

    def _table(self, path: Path, parse: Callable[[str], Any]) -> Mapping[str, Any] | None:
        """A file's content, read again only when it changed; None where it is absent or cannot be read."""
        try:
            about = path.stat()
            key = (about.st_ino, about.st_size, about.st_mtime_ns)
            if path not in self._kept or self._kept[path][0] != key:
                content = parse(path.read_text("utf-8"))
                self._kept[path] = (key, content if isinstance(content, dict) else None)
        except (OSError, ValueError, RecursionError):
            return None
        return self._kept[path][1]


def _steps(steps: Any, epochs: Any, gan: Gan) -> int | None:
    """Of the settings, for logs that do not say how many steps there will be."""
    if isinstance(steps, int) and steps:
        return steps
    if isinstance(epochs, int) and gan.step and gan.epoch:
        return round(gan.step / gan.epoch * epochs)
    return None


def _place(training: Training, now: float, current: bool) -> dict[str, Any]:
    left = training.seconds_left(now) if current else None
    return {
        "step": training.step,
        "steps": training.steps,
        "epoch": training.epoch,
        "share": training.share,
        "seconds_left": _rounded(left),
    }


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _since(path: Path, when: float | None) -> bool:
    """Whether a file is there and was written after `when`. Times of events are rounded to milliseconds."""
    modified = _modified(path)
    return modified is not None and (when is None or modified >= when - 0.001)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)

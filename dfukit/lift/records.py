"""What of an experiment is finished, on disk: one file for each network, and what all of them depend on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from dfukit import rundir
from dfukit.errors import ConfigError
from dfukit.lift.arms import Outcome

COLUMNS = ("picture", "patient", "label", "positive", "arm", "seed", "fold", "score")
PATIENTS = ("picture", "patient", "number", "label", "fold")


@frozen
class LiftDir:
    """The folder of an experiment."""

    path: Path

    @property
    def result(self) -> Path:
        """What comes of it; where the folder is that of a run, its `RunDir.lift_result`."""
        return self.path / "lift.json"

    @property
    def predictions(self) -> Path:
        return self.path / "lift-predictions.csv"

    @property
    def patients(self) -> Path:
        """Whose pictures the experiment uses, by name."""
        return self.path / "lift-patients.csv"

    @property
    def design(self) -> Path:
        """What the experiment depends on; it is written first."""
        return self.path / "design.json"

    def network(self, fold: int, arm: str, seed: int) -> Path:
        """The scores of one network."""
        return self.path / f"fold-{fold}" / f"{arm.replace(' ', '-')}-seed-{seed + 1}.json"

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Make the folder, and keep other experiments out of it for the block.

        Raises ConfigError where it cannot be made, holds something else, or another experiment is at work there.
        """
        rundir.make_out(self.path)
        # A desktop leaves hidden files, and a write that was killed does.
        others = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
        if others and not self.design.is_file():
            raise ConfigError(
                f"{self.path} holds {min(others)}, and no experiment (no {self.design.name}): name another folder with "
                "--out, or empty this one"
            )
        taken = f"another dfukit lift is at work in {self.path}: wait for it, or name another folder with --out"
        with rundir.alone(self.path, taken):
            yield

    def begin(self, design: Mapping[str, Any]) -> None:
        """Write the design down, or check that it is the one that this folder was begun with.

        Raises ConfigError naming what differs.
        """
        if self.design.is_file():
            before = rundir.read_json(self.design)
            for key in sorted(before.keys() | design.keys()):
                if before.get(key) != design.get(key):
                    what = _difference(before.get(key), design.get(key))
                    raise ConfigError(
                        f"{self.path} holds an experiment with other {key} ({what}): name another folder with --out, "
                        "or remove this one"
                    )
        else:
            rundir.write_json(self.design, design)

    def read(self, fold: int, arm: str, seed: int) -> Outcome | None:
        """What `write` wrote, or None."""
        path = self.network(fold, arm, seed)
        if not path.is_file():
            return None
        found = rundir.read_json(path)
        return Outcome(np.array(found["scores"]), np.array(found["mirrored"]), found["facts"])

    def write(self, fold: int, arm: str, seed: int, outcome: Outcome) -> None:
        table = {
            "scores": outcome.scores.tolist(),
            "mirrored": outcome.mirrored.tolist(),
            "facts": outcome.facts,
        }
        rundir.write_json(self.network(fold, arm, seed), table)

    def write_predictions(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Out-of-fold scores with all their digits, so that every figure can be computed again."""
        _write(self.predictions, COLUMNS, rows)

    def write_patients(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """A row for each real picture, before a network sees it: a patient who is removed must be found here."""
        _write(self.patients, PATIENTS, rows)


def _write(path: Path, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    rundir.write_text(path, table.getvalue())


def _difference(before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                return f"{key} was {before.get(key)!r}, now {now.get(key)!r}"
    return f"was {before!r}, now {now!r}"

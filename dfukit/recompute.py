"""Figures of a run or a bundle computed again from what lies beside them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from scipy.special import expit, logit

from dfukit import clinical, comparison, fitting, rundir, scoring, settings
from dfukit.comparison import Judged, Rules
from dfukit.config import read_toml
from dfukit.errors import DataError, DfukitError
from dfukit.finding import ABSENT, Finding
from dfukit.predictions import ANGLE, About
from dfukit.release import AUDIT, judge
from dfukit.rundir import RunDir
from dfukit.sections import ReleaseSettings

CLOSE = 1e-9
"""Relative difference from which on figures differ: another machine adds in another order."""
SCORED = 1e-6
"""The same for scores: a Fréchet distance is computed to a relative 1e-7, and a kernel distance may lie near 0."""
FITTED = 1e-4
"""The same for what an optimiser found."""
MOST_RESAMPLES = 100_000
SATURATED = 1e-9
"""Scores this near to 0 or 1 do not tell the logit that they came from."""
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, DfukitError)
"""What a file raises that has lost its shape."""


@frozen
class Checked:
    """Findings, how many figures were compared for them, and what could not be."""

    findings: tuple[Finding, ...] = ()
    figures: int = 0
    notes: tuple[str, ...] = ()


def classification(run: RunDir) -> Checked:
    """classification.json from predictions.csv."""
    if not run.classification.is_file():
        return Checked()
    return _attempt(run.classification.name, lambda: _classification(run))


def scores(run: RunDir) -> Checked:
    """scores.json from the features; a bundle has none."""
    if not run.scores.is_file():
        return Checked()
    return _attempt(run.scores.name, lambda: _scores(run))


def release(run: RunDir, kept: int, flagged: int | None) -> Checked:
    """release.json from the audit and the run's limits, and its share from the pictures kept and flagged (None: no list
    of those). A bundle passed, and its limits are looked at."""
    if not run.release.is_file():
        return Checked()
    return _attempt(run.release.name, lambda: _release(run, kept, flagged))


def _attempt(file: str, check: Callable[[], Checked]) -> Checked:
    """A file that was edited until it has lost its shape is a finding, too."""
    try:
        return check()
    except BROKEN as error:
        reason = f"{type(error).__name__} {error}" if not isinstance(error, DfukitError) else str(error)
        return Checked((Finding(file, "content", "what dfukit writes", f"something else ({reason})"),))


def _classification(run: RunDir) -> Checked:
    stated = rundir.read_json(run.classification)
    try:
        rules = Rules.read(stated)
    except KeyError as error:
        return Checked(notes=(f"classification.json: not recomputed, it does not name its {error.args[0]}",))
    if not 0 < rules.bootstrap <= MOST_RESAMPLES:
        raise DataError(f"bootstrap {rules.bootstrap} is not between 1 and {MOST_RESAMPLES}")
    tested, groups, columns = _judged(run.predictions, "test", stated["positive"])
    validated, _, _ = _judged(run.predictions, "validation", stated["positive"])
    again = comparison.compared(validated, tested, groups, columns, rules)
    told = {key: stated.get(key) for key in again}
    notes: list[str] = []
    if not columns:  # a bundle: what would tell of single patients stays behind
        told.pop("subgroups"), again.pop("subgroups")
        notes.append("classification.json: subgroups not recomputed, whom they hold stays with the run")
    findings, figures = compare(run.classification.name, told, again)

    for arm, said in validated.items():
        training = stated["training"][arm]
        for part in (said, tested[arm]):
            if not _calibrated(part, training["temperature"]):
                found = f"others than the raw scores at temperature {training['temperature']}"
                findings += (Finding(run.predictions.name, "calibrated_score", f"those of the arm {arm}", found),)
            figures += 1
        if not np.isfinite(said.logits).all():
            notes.append(f"classification.json: training.{arm} not recomputed, its validation scores are 0 or 1")
            continue
        fitted = {
            "validation_loss": fitting.cross_entropy(said.logits, said.labels),
            "temperature": clinical.fit_temperature(said.logits, said.labels).value,
        }
        more, count = compare(run.classification.name, {key: training[key] for key in fitted}, fitted, FITTED)
        findings += tuple(Finding(one.file, f"training.{arm}.{one.figure}", one.stated, one.found) for one in more)
        figures += count
    best = min(stated["training"], key=lambda arm: stated["training"][arm]["validation_loss"])
    more, count = compare(run.classification.name, {"chosen": stated["chosen"]}, {"chosen": best})
    return Checked(findings + more, figures + count, tuple(notes))


def _judged(path: Path, part: str, positive: str) -> tuple[dict[str, Judged], np.ndarray, dict[str, Sequence[str]]]:
    """What each arm said of a part, its groups [N], and what subgroups are made by (in a bundle nothing).

    Logits are nan where the raw score does not tell them.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["part"] == part]
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}") from None
    judged, groups = {}, np.empty(0, np.int64)
    columns: dict[str, Sequence[str]] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        raw = np.array([float(row["raw_score"]) for row in of_arm])
        told = (raw > SATURATED) & (raw < 1 - SATURATED)
        calibrated = np.array([float(row["calibrated_score"]) for row in of_arm])
        labels = np.array([row["label"] == positive for row in of_arm])
        judged[arm] = Judged(logit(np.where(told, raw, np.nan)), calibrated, labels)
        # In a bundle patients are numbers, in a run they have names beside their numbers.
        groups = np.array([int(row["group"] if "group" in row else row["patient"]) for row in of_arm])
        columns = About.read(of_arm).columns() if ANGLE in of_arm[0] else {}
    return judged, groups, columns


def _calibrated(said: Judged, temperature: float) -> bool:
    known = np.isfinite(said.logits)
    return bool(np.allclose(expit(said.logits[known] / temperature), said.calibrated[known], rtol=0, atol=1e-6))


def _scores(run: RunDir) -> Checked:
    stated = rundir.read_json(run.scores)
    if not run.features.is_dir():
        missing = "there are no features (they stay with the run)"
        return Checked(notes=(f"{run.scores.name}: not recomputed, {missing}: {', '.join(sorted(stated))}",))
    again = scoring.rescore(run)
    findings, figures = compare(run.scores.name, {name: stated.get(name) for name in again}, again, SCORED)
    left = sorted(stated.keys() - again.keys())
    return Checked(
        findings, figures, (f"{run.scores.name}: not recomputed from features: {', '.join(left)}",) * bool(left)
    )


def _release(run: RunDir, kept: int, flagged: int | None) -> Checked:
    stated = rundir.read_json(run.release)
    audit = rundir.read_json(run.scores).get(AUDIT) if run.scores.is_file() else None
    limits = _limits(run, stated)
    unseen = int(stated["passed"] is None)  # of earlier runs there is nothing here
    again = judge(limits, audit, kept, unseen).as_table()
    findings, figures = compare(run.release.name, _without_texts(stated), _without_texts(again))
    notes: tuple[str, ...] = ()
    if not run.config.is_file():
        notes = tuple(f"{run.release.name}: {text}" for text in _looser(limits))
        if stated["passed"] is not True:
            findings += (Finding(run.release.name, "passed", "true in every bundle", stated["passed"]),)
    if audit is None or audit["value"] is None:
        return Checked(findings, figures, notes)
    count = audit["flagged"] if flagged is None else flagged
    told = {AUDIT: {"flagged": count, "value": count / max(kept + count, 1)}}
    said = {AUDIT: {key: audit[key] for key in ("flagged", "value")}}
    more, compared = compare(run.scores.name, said, told)
    return Checked(findings + more, figures + compared, notes)


def _limits(run: RunDir, stated: Mapping[str, Any]) -> ReleaseSettings:
    """The limits that a run was told; of a bundle, whose run stays at home, those of the record itself."""
    if run.config.is_file():
        return settings.build(ReleaseSettings, read_toml(run.config).get("release", {}), "release")
    return ReleaseSettings(**{check["name"]: check["limit"] for check in stated["checks"]})


def _looser(limits: ReleaseSettings) -> Iterator[str]:
    """Which limits let more pass than the usual ones."""
    for name, usual in settings.as_table(ReleaseSettings()).items():
        limit = getattr(limits, name)
        if limit > usual if name.startswith("max_") else limit < usual:
            yield f"{name} was {limit:g}, looser than the usual {usual:g}"


def _without_texts(release: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the release check without what a bundle may have left out words of."""
    checks = {check["name"]: {key: check[key] for key in ("value", "limit", "passed")} for check in release["checks"]}
    return {**{key: release[key] for key in ("passed", "pictures", "flagged")}, "checks": checks}


def compare(file: str, stated: Any, again: Any, close: float = CLOSE) -> tuple[tuple[Finding, ...], int]:
    """What differs between two JSON documents, by the path of the figure, and how many were compared."""
    first, second = flat(stated), flat(again)
    names = list(dict.fromkeys([*second, *first]))
    pairs = [(name, first.get(name, ABSENT), second.get(name, ABSENT)) for name in names]
    return tuple(Finding(file, *pair) for pair in pairs if not _equal(pair[1], pair[2], close)), len(pairs)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """{"a": {"b": [1, 2]}} becomes {"a.b[0]": 1, "a.b[1]": 2}."""
    if isinstance(value, Mapping):
        parts = [(f"{name}.{key}" if name else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{name}[{place}]", inner) for place, inner in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for part, inner in parts for key, leaf in flat(inner, part).items()}


def _equal(first: Any, second: Any, close: float) -> bool:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second)):
        return math.isclose(first, second, rel_tol=close, abs_tol=1e-12)
    return bool(first == second)

"""The release check: whether a synthetic set may leave, after the audit for copies, and the record of that."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import frozen

from dfukit import rundir
from dfukit.errors import ReleaseCheckError
from dfukit.rundir import RunDir
from dfukit.sections import ReleaseSettings

AUDIT = "copies"
"""The metric that the check reads."""


@frozen
class Check:
    """One condition: `value` against `limit`. Both `value` and `passed` are None where it could not be measured."""

    name: str
    value: float | None
    limit: float
    passed: bool | None
    text: str


@frozen
class Release:
    """The content of release.json. `passed` is None where nothing was audited."""

    passed: bool | None
    checks: tuple[Check, ...]
    pictures: int
    """Synthetic pictures that are left."""
    flagged: int
    """Those taken out."""
    reason: str | None
    """Why it did not pass."""

    def as_table(self) -> dict[str, Any]:
        return attrs.asdict(self) | {"checks": [attrs.asdict(check) for check in self.checks]}

    def as_text(self) -> str:
        """One line for a person."""
        if self.passed:
            taken_out = f", {self.flagged} taken out" if self.flagged else ""
            unknown = "".join(f"; {check.text}" for check in self.checks if check.passed is None)
            return f"passed: {self.pictures} synthetic pictures{taken_out}{unknown}"
        return f"{'not audited' if self.passed is None else 'held back'}: {self.reason}"


def judge(settings: ReleaseSettings, audit: Mapping[str, Any] | None, pictures: int, unseen: int = 0) -> Release:
    """The verdict on a synthetic set of which `pictures` are left, from the entry `copies` of its scores.

    `unseen`: runs whose training pictures the generator learnt from and the audit could not have.
    """
    if audit is None:
        return Release(None, (), pictures, 0, f"{AUDIT} is not among score.metrics")
    if audit["value"] is None:
        return Release(None, (), pictures, 0, f"the audit gave no figure ({audit['reason']})")
    copies, power = audit["value"], audit["power"]["all"]["value"]
    few, found = copies <= settings.max_copies, power >= settings.min_power
    share = _form("%", 1, copies, settings.max_copies, few)
    hits = _form("%", 0, power, settings.min_power, found)
    checks = [
        Check(
            "max_copies",
            copies,
            settings.max_copies,
            few,
            f"{copies:{share}} of the pictures copy a training picture, at most {settings.max_copies:{share}} may",
        ),
        Check(
            "min_power",
            power,
            settings.min_power,
            found,
            f"the audit finds {power:{hits}} of planted copies, and must find {settings.min_power:{hits}}",
        ),
    ]
    checks.append(_nearest(settings.min_nearest_ratio, audit))
    failed = [check for check in checks if check.passed is False]
    reason = "; ".join(f"{check.text} (release.{check.name})" for check in failed) or None
    if unseen and not failed:
        reason = f"the training pictures of {unseen} earlier runs (gan.start_from) could not be compared with"
        return Release(None, tuple(checks), pictures, audit["flagged"], reason)
    return Release(not failed, tuple(checks), pictures, audit["flagged"], reason)


def _nearest(limit: float, audit: Mapping[str, Any]) -> Check:
    """The ratio of nearest distances against its limit, or against what chance alone gives where that is lower: where
    patients have several pictures that are alike, training pictures lie nearer to everything."""
    ratio = audit.get("nearest_ratio")
    if ratio is None:
        why = audit.get("nearest_ratio_reason", "the audit gave none")
        return Check("min_nearest_ratio", None, limit, None, f"the ratio of nearest distances was not measured ({why})")
    value, chance = ratio["value"], ratio["expected"][0]
    passed = value >= min(limit, chance)
    form = _form("f", 2, value, min(limit, chance), passed)
    text = f"the pictures lie {value:{form}} times as far from training as from held-out pictures, at least "
    text += f"{limit:{form}} times is asked for" + (f", or {chance:{form}} as by chance" if chance < limit else "")
    return Check("min_nearest_ratio", value, limit, passed, text)


def _form(kind: str, digits: int, value: float, limit: float, passed: bool) -> str:
    """How both are written: with more digits where a value that failed would read as its limit."""
    forms = [f".{more}{kind}" for more in range(digits, digits + 1 if passed else digits + 4)]
    return next((form for form in forms if f"{value:{form}}" != f"{limit:{form}}"), forms[-1])


def read(run: RunDir) -> Release | None:
    """The record of a run; None where it has none."""
    if not run.release.is_file():
        return None
    table = rundir.read_json(run.release)
    return Release(**{**table, "checks": tuple(Check(**check) for check in table["checks"])})


def settle(run: RunDir, release: Release) -> None:
    """Write the record, and put a set that failed where nobody takes it for one that may leave."""
    rundir.write_json(run.release, release.as_table())
    if release.passed is False:
        shutil.rmtree(run.held_back, ignore_errors=True)
        run.synthetic.rename(run.held_back)


def insist(run: RunDir) -> None:
    """Raises ReleaseCheckError where the run's set was held back."""
    release = read(run)
    if release is not None and release.passed is False:
        raise ReleaseCheckError(
            f"the synthetic set is held back in {run.held_back}: {release.reason}; "
            f"{run.release.name} has the record, report.html the pictures"
        )

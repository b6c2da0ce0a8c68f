"""Do the synthetic pictures copy training pictures? What the audit found, what it would have found, what followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from dfukit.release import AUDIT, Release
from dfukit.report.answers import Verdict
from dfukit.report.facts import Facts
from dfukit.report.numbers import count, figure, fixed, interval, percent, plural

NO_AUDIT = "This run cannot say: its synthetic pictures were not audited."
HOW_TO_GET_ONE = (
    "`dfukit run --metric copies` audits a set as it is made, `dfukit score RUN RUN --metric copies` that of a run."
)


@frozen
class Figure:
    """A figure of the audit with its interval, what it was computed from, and how it is read."""

    name: str
    value: str
    interval: str
    n: str
    reading: str = ""


@frozen
class Audit:
    """What one audit says: its figures, how many planted copies it finds, and where its threshold comes from."""

    figures: Sequence[Figure]
    power: Sequence[Figure]
    threshold: str


def verdict(facts: Facts, clean: Callable[[str], str]) -> Verdict:
    """The answer of the first screen, its colour that of the release check. `clean` goes over texts of the run."""
    entry = facts.scores.get(AUDIT)
    if not isinstance(entry, dict):
        return Verdict("none", NO_AUDIT, HOW_TO_GET_ONE)
    if entry.get("value") is None:
        return Verdict(
            "none", f"This run cannot say: {clean(str(entry.get('reason') or 'no reason was recorded'))}.", ""
        )
    statement = clean(str(entry["statement"]))
    flagged, n = entry["flagged"], entry["n"][1]
    detail = f"Flagged: {count(flagged)} of {plural(n, 'synthetic picture')} ({percent(entry['value'])}, 95% interval "
    detail += f"{interval(entry.get('interval'), percent)})."
    if flagged and facts.flagged:
        detail += f" {'It was' if flagged == 1 else 'They were'} taken out of the set."
    return Verdict(_kind(facts.release, flagged), f"{statement[:1].upper()}{statement[1:]}.", detail)


def _kind(release: Release | None, flagged: int) -> str:
    if release is not None and release.passed is False:
        return "worse"
    return "open" if flagged else "better"


def release_line(release: Release | None, clean: Callable[[str], str]) -> str:
    """What the release check said, in a sentence or two."""
    if release is None:
        return "Release check: the run folder has no record of one."
    reason = clean(release.reason or "no reason was recorded")
    if release.passed is None:
        return f"Release check: not audited, so not passed ({reason})."
    if not release.passed:
        return f"Release check: held back, because {reason}. The set lies in held-back/, not in synthetic/."
    return f"Release check: passed. The set holds {plural(release.pictures, 'synthetic picture')}."


def audit(facts: Facts, clean: Callable[[str], str], drawn: str) -> Audit | None:
    """The figures; None where there was no audit. `drawn` is what the real pictures are called."""
    entry = facts.scores.get(AUDIT)
    if not isinstance(entry, dict) or entry.get("value") is None:
        return None
    figures = [_share("Flagged", entry, count(entry["n"][1]), "synthetic pictures of the set as it was drawn")]
    alarms = entry.get("false_alarms") or {"value": entry.get("real_vs_real")}
    if alarms["value"] is not None:
        n = count(alarms["n"]) if "n" in alarms else ""
        reading = f"{drawn} pictures that are no copies, called copies by the same threshold"
        figures.append(_share("False alarms", alarms, n, reading))
    if ratio := entry.get("nearest_ratio"):
        figures.append(_ratio(ratio))
    kinds = sorted((entry.get("power") or {}).items(), key=lambda item: item[0] != "all")
    power = [_share("all kinds" if kind == "all" else kind, one, count(one["n"])) for kind, one in kinds]
    return Audit(figures, power, _threshold(entry, clean))


def _share(name: str, entry: dict[str, Any], n: str, reading: str = "") -> Figure:
    return Figure(name, percent(entry["value"]), interval(entry.get("interval"), percent), n, reading)


def _ratio(ratio: dict[str, Any]) -> Figure:
    reading = "nearest training over nearest held-out picture; 1: no nearer to training pictures, below 1: nearer"
    if expected := ratio.get("expected"):
        reading += f"; by chance alone {interval(expected, fixed)}"
    return Figure(
        "Ratio of nearest distances",
        fixed(ratio["value"]),
        interval(ratio.get("interval"), fixed),
        count(ratio["n"]),
        reading,
    )


def _threshold(entry: dict[str, Any], clean: Callable[[str], str]) -> str:
    """Where the threshold comes from."""
    limits = entry.get("thresholds") or {}
    told = [f"{figure(limits[key])} ({key})" for key in ("pixels", "features") if limits.get(key)]
    source = clean(str(entry.get("calibrated_on") or ""))
    texts = [f"Flagged is what lies nearer than {' or '.join(told)}." if told else ""]
    texts.append(f"The threshold comes from {source}." if source else "")
    return " ".join(filter(None, texts))

"""The scores of the synthetic set as rows of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen

from dfukit.component import Component
from dfukit.errors import ConfigError, PluginError
from dfukit.registry import Registry
from dfukit.release import AUDIT
from dfukit.report.facts import Table
from dfukit.report.numbers import count, figure, interval

BETTER = {"lower": "lower is better", "higher": "higher is better"}
KEY = re.compile(r"(?P<metric>[^\[@]+)(?:\[(?P<extractor>[^\]]+)\])?(?:@(?P<part>.+))?")
"""`kd[r64]@test`: the metric kd, on the extractor r64, against the test part."""
NOTHING: Table = {"value": None, "reason": "not computed"}


@frozen
class Row:
    """One score. `floor` is the spread of the real-against-real value, `same_n` the synthetic pictures at its n."""

    name: str
    summary: str
    value: str
    interval: str
    real_vs_real: str
    floor: str
    same_n: str
    n: str
    note: str
    reason: str


@frozen
class Missing:
    """Scores that could not be had for one reason, which names the remedy."""

    names: Sequence[str]
    reason: str


@frozen
class Scores:
    """Quality scores, copy alarms, those that could not be had, and quality scores within each class.

    The audit is not among them: `dfukit.report.copies` reads it.
    """

    quality: Sequence[Row]
    alarms: Sequence[Row]
    missing: Sequence[Missing]
    classes: Sequence[str]
    by_class: Sequence[tuple[str, Sequence[Row]]]
    """A row for each class; its value is a dash where the score could not be had."""


def read_scores(scores: Table, registry: Registry, clean: Callable[[str], str]) -> Scores:
    """Rows from the content of scores.json; the metrics' own summaries say what each is. `clean` goes over reasons."""
    quality: list[Row] = []
    alarms: list[Row] = []
    missing: dict[str, list[str]] = {}
    classes = list(dict.fromkeys(label for _, entry in _entries(scores) for label in entry.get("classes", {})))
    by_class: list[tuple[str, Sequence[Row]]] = []
    for name, entry in _entries(scores):
        if name == AUDIT:
            continue
        if own := entry.get("classes"):
            by_class.append((name, [_row(label, "", own.get(label, NOTHING), clean) for label in classes]))
        if entry["value"] is None:
            reason = clean(entry.get("reason") or "no reason was recorded")
            missing.setdefault(reason, []).append(name)
            continue
        alarm = entry.get("better") == "neither"
        component = _find(registry, "metric", _part_of(name, "metric"))
        summary = [component.summary if component else "", "" if alarm else BETTER.get(entry.get("better", ""), "")]
        (alarms if alarm else quality).append(_row(name, "; ".join(filter(None, summary)), entry, clean))
    causes = [Missing(names, reason) for reason, names in missing.items()]
    return Scores(quality, alarms, causes, classes, by_class)


def scored_with(scores: Table, registry: Registry) -> Iterator[Component]:
    """The metrics and extractors behind the scores that were had."""
    for name, entry in _entries(scores):
        for kind in ("metric", "extractor"):
            component = _find(registry, kind, _part_of(name, kind)) if entry["value"] is not None else None
            if component is not None:
                yield component


def _entries(scores: Table) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, entry) for name, entry in scores.items() if isinstance(entry, dict) and "value" in entry)


def _part_of(name: str, group: str) -> str:
    found = KEY.fullmatch(name)
    return (found.group(group) or "") if found else ""


def _find(registry: Registry, kind: str, name: str) -> Component | None:
    """None where nobody offers it any more: a report outlives the plugins of its run."""
    try:
        return registry.find(kind, name).component
    except (ConfigError, PluginError):
        return None


def _row(name: str, summary: str, entry: Table, clean: Callable[[str], str]) -> Row:
    value, reference, at_half = entry["value"], entry.get("real_vs_real"), entry.get("at_half")
    n = entry.get("n") or (0, 0)
    return Row(
        name=name,
        summary=summary,
        value="–" if value is None else figure(value),
        interval=interval(entry.get("interval"), figure),
        real_vs_real="–" if reference is None else figure(reference),
        floor=interval(entry["floor"], figure) if entry.get("floor") else "",
        same_n="" if at_half is None else f"synthetic at the same n = {count(entry['n_half'])}: {figure(at_half)}",
        n=f"{count(n[0])} real, {count(n[1])} synthetic",
        note=clean(entry.get("note") or ""),
        reason=clean(entry.get("reason") or ""),
    )

"""The scores of the synthetic set as rows of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen

from dfukit.component import Component
from dfukit.errors import ConfigError
from dfukit.registry import Registry
from dfukit.report.facts import Table
from dfukit.report.numbers import count, figure, interval

BETTER = {"lower": "lower is better", "higher": "higher is better"}
KEY = re.compile(r"(?P<metric>[^\[@]+)(?:\[(?P<extractor>[^\]]+)\])?(?:@(?P<part>.+))?")
"""`kd[r64]@test`: the metric kd, on the extractor r64, against the test part."""


@frozen
class Row:
    """One score. `same_n` are the synthetic pictures at the n of the real-against-real value."""

    name: str
    summary: str
    value: str
    interval: str
    real_vs_real: str
    same_n: str
    n: str
    reason: str


@frozen
class Missing:
    """Scores that could not be had for one reason, which names the remedy."""

    names: Sequence[str]
    reason: str


@frozen
class Scores:
    """Quality scores, copy alarms, and those that could not be had."""

    quality: Sequence[Row]
    alarms: Sequence[Row]
    missing: Sequence[Missing]


def read_scores(scores: Table, registry: Registry, clean: Callable[[str], str]) -> Scores:
    """Rows from the content of scores.json; the metrics' own summaries say what each is. `clean` goes over reasons."""
    quality: list[Row] = []
    alarms: list[Row] = []
    missing: dict[str, list[str]] = {}
    for name, entry in _entries(scores):
        if entry["value"] is None:
            reason = clean(entry.get("reason") or "no reason was recorded")
            missing.setdefault(reason, []).append(name)
            continue
        alarm = entry.get("better") == "neither"
        component = _find(registry, "metric", _part_of(name, "metric"))
        summary = [component.summary if component else "", "" if alarm else BETTER.get(entry.get("better", ""), "")]
        (alarms if alarm else quality).append(
            _row(name, "; ".join(filter(None, summary)), clean(entry.get("reason") or ""), entry)
        )
    return Scores(quality, alarms, [Missing(names, reason) for reason, names in missing.items()])


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
    except ConfigError:
        return None


def _row(name: str, summary: str, reason: str, entry: dict[str, Any]) -> Row:
    reference, at_half = entry.get("real_vs_real"), entry.get("at_half")
    n = entry.get("n") or (0, 0)
    return Row(
        name=name,
        summary=summary,
        value=figure(entry["value"]),
        interval=interval(entry.get("interval"), figure),
        real_vs_real="–" if reference is None else figure(reference),
        same_n="" if at_half is None else f"synthetic at the same n = {count(entry['n_half'])}: {figure(at_half)}",
        n=f"{count(n[0])} real, {count(n[1])} synthetic",
        reason=reason,
    )

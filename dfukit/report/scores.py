"""The scores of the synthetic set as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from dfukit.component import Chosen
from dfukit.report.facts import Table
from dfukit.report.numbers import count, figure, interval

BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": "copy alarm, not quality"}


@frozen
class Row:
    """One score; where `value` is a dash, `reason` says why and what to do."""

    name: str
    summary: str
    value: str
    interval: str
    real_vs_real: str
    at_half: str
    n: str
    better: str
    reason: str


@frozen
class Scores:
    """Quality scores, copy alarms, and those that could not be had."""

    quality: Sequence[Row]
    alarms: Sequence[Row]
    missing: Sequence[Row]


def read_scores(scores: Table, metrics: Iterable[Chosen]) -> Scores:
    """Rows from the content of scores.json; the metrics' own summaries say what each is."""
    summaries = {metric.name: metric.component.summary for metric in metrics}
    rows = [_row(name, entry, summaries) for name, entry in scores.items() if isinstance(entry, dict) and "value" in entry]
    there = [row for row in rows if row.value != "–"]
    return Scores(
        quality=[row for row in there if row.better != BETTER["neither"]],
        alarms=[row for row in there if row.better == BETTER["neither"]],
        missing=[row for row in rows if row.value == "–"],
    )


def base(name: str) -> str:
    """The metric of a key: `kd` of `kd[r64]@test`."""
    return name.partition("@")[0].partition("[")[0]


def _row(name: str, entry: dict[str, Any], summaries: dict[str, str]) -> Row:
    value, reference, at_half = entry["value"], entry.get("real_vs_real"), entry.get("at_half")
    n = entry.get("n") or (0, 0)
    return Row(
        name=name,
        summary=summaries.get(base(name), ""),
        value="–" if value is None else figure(value),
        interval=interval(entry.get("interval"), figure),
        real_vs_real="–" if reference is None else figure(reference),
        at_half="" if at_half is None else f"{figure(at_half)} at n = {count(entry.get('n_half', 0))}",
        n=f"{count(n[0])} real, {count(n[1])} synthetic",
        better=BETTER.get(entry.get("better", ""), ""),
        reason=entry.get("reason") or "",
    )

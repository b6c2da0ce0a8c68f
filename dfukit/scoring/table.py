"""Scores as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]

HEADINGS = ("metric", "value", "95% interval", "n real, fake", "real vs real", "at half n", "")


def as_text(scores: Mapping[str, Entry]) -> str:
    """A line for each figure, its classes indented below it; then what audits state, and why figures are missing."""
    rows = [HEADINGS, *(row for name, entry in scores.items() for row in _rows(name, entry))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{name}: {entry['statement']}" for name, entry in scores.items() if entry.get("statement")]
    reasons: dict[str, list[str]] = {}
    for name, entry in scores.items():
        for label, one in {"": entry, **entry.get("classes", {})}.items():
            if one["reason"]:
                reasons.setdefault(one["reason"], []).append(f"{name} of {label}" if label else name)
    lines += [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return "\n".join(lines)


def _rows(name: str, entry: Entry) -> Iterator[tuple[str, ...]]:
    yield _row(name, entry)
    for label, one in entry.get("classes", {}).items():
        yield _row(f"  {label}", one)


def _row(name: str, entry: Entry) -> tuple[str, ...]:
    interval = entry["interval"]
    return (
        name,
        _number(entry["value"]),
        f"{_number(interval[0])} to {_number(interval[1])}" if interval else "",
        "{}, {}".format(*entry["n"]),
        _number(entry["real_vs_real"]) + (_span(entry["floor"]) if "floor" in entry else ""),
        f"{_number(entry['at_half'])} (n = {entry['n_half']})" if "at_half" in entry else "",
        entry.get("note", ""),
    )


def _span(floor: list[float]) -> str:
    return f" ({_number(floor[0])} to {_number(floor[1])})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

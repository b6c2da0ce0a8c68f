"""Scores as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADINGS = ("metric", "value", "95% interval", "n real, fake", "real vs real", "at half n")


def as_text(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each figure, and below the reasons of those that could not be had."""
    rows = [HEADINGS, *(_row(name, entry) for name, entry in scores.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    reasons: dict[str, list[str]] = {}
    for name, entry in scores.items():
        if entry["reason"]:
            reasons.setdefault(entry["reason"], []).append(name)
    lines += [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return "\n".join(lines)


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    interval = entry["interval"]
    return (
        name,
        _number(entry["value"]),
        f"{_number(interval[0])} to {_number(interval[1])}" if interval else "",
        "{}, {}".format(*entry["n"]),
        _number(entry["real_vs_real"]),
        f"{_number(entry['at_half'])} (n = {entry['n_half']})" if "at_half" in entry else "",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

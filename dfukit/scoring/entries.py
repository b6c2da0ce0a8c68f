"""An entry of scores.json, from what a metric said and what its halvings showed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve

from dfukit.errors import PluginError
from dfukit.interfaces import Metric, Score
from dfukit.scoring.halvings import Halved

Entry = dict[str, Any]

BELOW_FLOOR = "below the measurement floor at this n"
SOME_UNDEFINED = "undefined on some halves: nothing to compare with"
ABOVE_REAL = "above what real halves give"
ADDED = frozenset(("at_half", "n_half", "floor", "note", "classes", "failed", "pictures", "distances"))
"""Keys of some entries, which are none for a metric's details."""


def entry(
    score: Score,
    metric: Metric,
    halved: Halved | None = None,
    held_out: Score | None = None,
    unhalved: str | None = None,
) -> Entry:
    """`held_out` is the figure of held-out real pictures, the reference of metrics that have no halves; `unhalved` says
    why there are none of a metric that has. Raises whatever a score of a plugin leads to that is none."""
    score = finite(score)
    if taken := ADDED & score.details.keys():
        raise ValueError(f"its details have the key {min(taken)}, which scores.json has a meaning for")
    value, interval, reference, reason = score.value, score.interval, score.real_vs_real, score.reason
    if reference is None and held_out is not None:
        reference = finite(held_out).value
    made: Entry = {"better": metric.better}
    if halved is not None and halved.whole:
        floor = [min(halved.floors), max(halved.floors)]
        at_half = float(np.median(halved.fakes))
        made |= {"at_half": at_half, "n_half": halved.n, "floor": floor}
        if {"lower": at_half <= floor[1], "higher": floor[0] <= at_half <= floor[1]}.get(metric.better, False):
            made["note"] = BELOW_FLOOR
        elif metric.better == "higher" and at_half > floor[1]:
            made["note"] = ABOVE_REAL
        reference = float(np.median(halved.floors)) if reference is None else reference
        if interval is None and value is not None and reason is None:
            low, high = metric.bounds
            interval = (max(low, value - halved.margin), min(high, value + halved.margin))
    elif halved is not None or unhalved is not None:
        reason = reason or unhalved or SOME_UNDEFINED
    real, fake = score.n
    made = {
        **{key: _json(more) for key, more in score.details.items()},
        **made,
        "value": value,
        "n": [int(real), int(fake)],
        "interval": [float(end) for end in interval] if interval is not None and value is not None else None,
        "real_vs_real": None if reference is None else float(reference),
        "reason": reason and str(reason),
    }
    json.dumps(made, allow_nan=False)  # where JSON cannot hold it, this metric fails, and not the file of all
    return made


def without(metric: Metric, n: tuple[int, int], reason: str, failed: bool = False) -> Entry:
    """The entry of a figure that could not be had; `failed` where that is a plugin's fault."""
    made = entry(Score(None, n, reason=reason), metric)
    return {**made, "failed": True} if failed else made


def insist(scores: Mapping[str, Entry]) -> None:
    """Raises PluginError where a plugin failed at a figure; the others are sound."""
    reasons = dict.fromkeys(str(entry["reason"]) for entry in scores.values() if entry.get("failed"))
    if reasons:
        raise PluginError(f"{'; '.join(reasons)} (all else is done)")


def audited(score: Score, metric: Metric, real: Sequence[str], fake: Sequence[str]) -> Entry:
    """The entry of an audit: `pictures` names those that it objects to, by the names of both sets' pictures.

    A picture of a set without names goes by its number, from 0. `distances`, one for each synthetic picture, stands in
    it where the audit measures them.
    """
    made = entry(score, metric)
    made["pictures"] = [
        {
            "path": _name(fake, found.fake),
            "of": _name(real, found.real),
            "how": str(found.how),
            "distance": _json(float(found.distance)),
        }
        for found in score.found
    ]
    if score.distances is not None:
        if fake and len(score.distances) != len(fake):
            raise ValueError(f"it gives {len(score.distances)} distances for {len(fake)} pictures")
        made["distances"] = [float(distance) for distance in score.distances]
    return made


def _name(names: Sequence[str], place: int) -> str:
    if names and not 0 <= place < len(names):
        raise IndexError(f"it names the picture {place} of {len(names)}, which are counted from 0")
    return names[place] if names else str(place)


def finite(score: Score) -> Score:
    """The score with every number that is not finite left out: JSON has none."""
    # A plugin's numbers may be numpy's, which JSON does not take.
    if score.value is not None:
        score = evolve(score, value=float(score.value))
    if score.value is not None and not math.isfinite(score.value):
        score = evolve(score, value=None, reason=f"not a finite number ({score.value})")
    if score.interval is not None:
        low, high = score.interval
        if not (math.isfinite(low) and math.isfinite(high)):
            score = evolve(score, interval=None)
    if score.real_vs_real is not None and not math.isfinite(score.real_vs_real):
        score = evolve(score, real_vs_real=None)
    return score


def _json(value: Any) -> Any:
    """What JSON can hold of a metric's own details: numpy's numbers as Python's, and None where one is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _json(more) for key, more in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_json(more) for more in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value

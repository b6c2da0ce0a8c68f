"""What comes of a comparison: one document, and a table of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dfukit import settings
from dfukit.comparing.contestants import PARTS, Contestant
from dfukit.comparing.trials import LEFT
from dfukit.schedule import ALL_STEPS


def result(
    contestants: Sequence[Contestant],
    found: Sequence[Mapping[str, Any]],
    rounds: Mapping[str, str],
    train: int,
    validation: int,
    test: int,
    smaller: int,
    planned: int | None = None,
) -> dict[str, Any]:
    """The content of compare.json; of `planned` trainings, or as many as are `found`.

    {"equal": {"time": "40m"}, "planned", "parts", "rounds": {"time": {contestant: {"seeds", "steps", "parameters",
    "pictures_per_second", "validation", "scores": {key: {"value", "interval", "seeds", "n", "real_vs_real", "at_half",
    "n_half", "reason"}}}}}, "best", "trials", "components", "citations"}. A value is the mean over seeds; its
    `interval` the mean of the seeds' intervals, which cover the sampling of pictures and not another training; `seeds`
    their lowest and highest value. `at_half` and `n_half` are there where the real set was halved: that mean, and not
    the value, is compared with `real_vs_real`. Nobody is the best before all are judged, nor who failed with a seed,
    as the others may have been lucky.
    """
    planned = len(found) if planned is None else planned
    told: dict[str, dict[str, Any]] = {}
    for budget in rounds:
        told[budget] = {}
        for contestant in contestants:
            trials = [one for one in found if (one["budget"], one["contestant"]) == (budget, contestant.name)]
            told[budget][contestant.name] = _of(contestant, trials, train)
    return {
        "equal": dict(rounds),
        "planned": planned,
        "parts": {"train": train, "validation": validation, "test": test},
        "size": contestants[0].config.gan.size,
        "smaller": smaller or None,
        "rounds": told,
        "best": {budget: _best(entries) if len(found) == planned else None for budget, entries in told.items()},
        "trials": list(found),
        "components": {one.name: {slot: getattr(one.config, slot).as_table() for slot in PARTS} for one in contestants},
        "citations": _citations(contestants),
    }


def _of(contestant: Contestant, trials: Sequence[Mapping[str, Any]], train: int) -> dict[str, Any]:
    ended = [one for one in trials if "scores" in one]
    entry: dict[str, Any] = {
        "seeds": [one["seed"] for one in ended],
        "failed": {str(one["seed"]): one["reason"] for one in trials if "reason" in one},
    }
    if not ended:
        return entry
    batch_size = min(contestant.config.gan.batch_size, train)
    distances = [one["training"]["kept_distance"] for one in ended if one["training"]["kept_distance"] is not None]
    metrics = {one["training"]["stopping_metric"] for one in ended}
    metric = metrics.pop() if len(metrics) == 1 else None
    return {
        **entry,
        "parameters": ended[0]["parameters"],
        "steps": [one["training"]["steps"] for one in ended],
        "kept_steps": [one["training"]["kept_step"] for one in ended],
        "batch_size": batch_size,
        "seconds": [one["training"]["seconds"] for one in ended],
        "pictures_per_second": statistics.mean(_speed(batch_size, one["training"]) for one in ended),
        "validation": {
            "metric": metric,
            "value": statistics.mean(distances) if metric and len(distances) == len(ended) else None,
        },
        "scores": _pooled([one["scores"] for one in ended]),
        "scores_smaller": _pooled([one["scores_smaller"] for one in ended if "scores_smaller" in one]),
    }


def _speed(batch_size: int, training: Mapping[str, Any]) -> float:
    """Pictures in generator steps for each second of training, evaluations left out."""
    seconds = training["seconds"] - training["seconds_of_evaluation"]
    return float(training["steps"] * batch_size / max(seconds, 1e-9))


def _pooled(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    pooled = {}
    for key in scores[0] if scores else ():
        entries = [one[key] for one in scores if key in one]
        values = [entry["value"] for entry in entries]
        known = all(value is not None for value in values)
        intervals = [entry["interval"] for entry in entries]
        pooled[key] = {
            "value": statistics.mean(values) if known else None,
            "seeds": [min(values), max(values)] if known else None,
            "interval": [statistics.mean(ends) for ends in zip(*intervals, strict=True)] if all(intervals) else None,
            "real_vs_real": entries[0].get("real_vs_real"),
            "n": entries[0]["n"],
            "reason": next((entry["reason"] for entry in entries if entry["reason"]), None),
        }
        if all("at_half" in entry for entry in entries):
            at_half = statistics.mean(entry["at_half"] for entry in entries)
            pooled[key] |= {"at_half": at_half, "n_half": entries[0]["n_half"]}
    return pooled


def _ended(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of whom every seed came to its end."""
    return {name: entry for name, entry in entries.items() if entry["seeds"] and not entry["failed"]}


def _best(entries: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Who has the lowest distance to the validation part, of those of whom every seed came to its end.

    None where that was not measured for all of these, or by several metrics, as where weights of an extractor came
    later.
    """
    found = {name: entry["validation"] for name, entry in _ended(entries).items()}
    values = {name: one["value"] for name, one in found.items()}
    if None in values.values() or len({one["metric"] for one in found.values()}) != 1:
        return None
    return min(values, key=lambda name: values[name])


def _citations(contestants: Sequence[Contestant]) -> dict[str, str]:
    found = {}
    for contestant in contestants:
        config = contestant.config
        for chosen in (*(getattr(config, slot) for slot in PARTS), *config.metrics):
            if chosen.component.citation:
                found[f"{chosen.kind}/{chosen.name}"] = chosen.component.citation
    return found


def as_markdown(result: Mapping[str, Any]) -> str:
    """A table for each round, and what must be known to read it."""
    parts = result["parts"]
    lines = ["# Comparison", ""]
    whole = len(result["trials"]) == result["planned"]
    if not whole:
        lines += [f"{len(result['trials'])} of {result['planned']} trainings are judged so far.", ""]
    for budget, entries in result["rounds"].items():
        expense = result["equal"][budget]
        each = f"{expense} of training each" if budget == "time" else f"{expense} real pictures shown to each critic"
        lines += [f"## At equal {budget}: {each}", "", *_table(entries), ""]
        of_round = [one for one in result["trials"] if one["budget"] == budget]
        if whole:
            lines += [_choice(entries, of_round, result["best"][budget]), ""]
        for name, entry in entries.items():
            for seed, why in entry["failed"].items():
                lines += [f"{name}, seed {seed}, came to no end: {why}", ""]
        lines += _ended_early(of_round, expense)
        lines += [f"![The first pictures of each](samples-equal-{budget}.png)", ""]
    lines += [*_missing(result["rounds"]), ""]
    lines += [
        f"{parts['train']} training pictures, {parts['validation']} that choose the weights which are kept, "
        f"{parts['test']} that nothing was chosen by (`@test`); {result['size']} pixels wide"
        + (f", and reduced to {result['smaller']}." if result["smaller"] else "."),
        "Brackets hold 95% intervals, which cover the sampling of pictures, and not another training. With several",
        "seeds a value is their mean. One half of the real set against the other is compared with what stands behind",
        '"at half n", never with the value: most figures depend on how many pictures there are.',
        "",
        *(f"- {name}: {citation}" for name, citation in result["citations"].items()),
        "",
    ]
    return "\n".join(lines)


def _choice(entries: Mapping[str, Mapping[str, Any]], trials: Sequence[Mapping[str, Any]], best: str | None) -> str:
    """Who is the best, or why nobody is."""
    ended = _ended(entries)
    of_ended = [one["training"]["stopping_metric"] for one in trials if one["contestant"] in ended]
    metrics = sorted({metric for metric in of_ended if metric is not None})
    if best:
        whom = ", among those of whom every seed came to its end" if len(ended) < len(entries) else ""
        return f"Lowest {metrics[0]} to the validation part, which chooses{whom}: {best}."
    if not ended:
        return "Nobody is the best: no contestant came to its end with every seed."
    if len(metrics) > 1:
        return f"Nobody is the best: weights were chosen by {' and '.join(metrics)}, which cannot be compared."
    return "Nobody is the best: the distance to the validation part was not measured for all."


def _ended_early(trials: Sequence[Mapping[str, Any]], expense: str) -> Iterator[str]:
    """A line for each training that was ended before the time, or the steps, that the others had."""
    for one in trials:
        training = one.get("training")
        if training is None:
            continue
        if (
            training["stopped"] != ALL_STEPS
            if one["budget"] == "pictures"
            else training["seconds"] < (1 - LEFT) * settings.seconds(expense)
        ):
            yield (
                f"{one['contestant']}, seed {one['seed']}, ended after {training['seconds'] / 60:.0f} minutes and "
                f"{training['steps']:,} steps: {training['stopped']}."
            )
            yield ""


def _table(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A column for each contestant, a row for each figure."""
    ended = {name: entry for name, entry in entries.items() if entry["seeds"]}
    yield _row("", ["real, half against half", *ended])
    yield "|---" * (len(ended) + 2) + "|"
    for kind in ("generator", "critic"):
        yield _row(f"parameters, {kind}", ["", *(f"{one['parameters'][kind] / 1e6:.2f} M" for one in ended.values())])
    steps = (f"{round(statistics.mean(one['steps'])):,} x {one['batch_size']}" for one in ended.values())
    yield _row("steps x batch", ["", *steps])
    yield _row("pictures/s", ["", *(f"{one['pictures_per_second']:.1f}" for one in ended.values())])
    figures = [_figures(entry) for entry in ended.values()]
    for key in dict.fromkeys(key for one in figures for key, entry in one.items() if entry["value"] is not None):
        # A figure that was not halved has another reference: of the test part, the real set alone, or false alarms.
        floor = next((one[key]["real_vs_real"] for one in figures if "at_half" in one.get(key, ())), None)
        yield _row(key, ["" if floor is None else f"{floor:.3g}", *(_cell(one.get(key)) for one in figures)])


def _missing(rounds: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Why figures, or their intervals, are not there, each reason once."""
    reasons: dict[str, list[str]] = {}
    for entries in rounds.values():
        for entry in entries.values():
            for key, one in _figures(entry).items() if entry["seeds"] else ():
                if (one["value"] is None or one["reason"]) and key not in reasons.setdefault(one["reason"], []):
                    reasons[one["reason"]].append(key)
    for reason, keys in reasons.items():
        yield f"- {', '.join(keys)}: {reason}"


def _row(head: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([head, *cells]) + " |"


def _figures(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All figures by the head of their column."""
    found = dict(entry["scores"])
    for key, one in entry["scores_smaller"].items():
        found[f"{key}, reduced"] = one
    return found


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return "-"
    about = ["{:.3g} to {:.3g}".format(*entry["interval"])] if entry["interval"] else []
    if entry["seeds"][0] != entry["seeds"][1]:
        about.append("seeds {:.3g} to {:.3g}".format(*entry["seeds"]))
    at_half = f"; at half n {entry['at_half']:.3g}" if "at_half" in entry else ""
    return f"{entry['value']:.3g}" + (f" ({'; '.join(about)})" if about else "") + at_half

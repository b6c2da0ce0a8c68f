"""The same classifier on parts of the test part: by site, by sex, by skin tone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dfukit.clinical.figures import auroc, rate
from dfukit.clinical.scored import Scored

FEW_PATIENTS = 10
NOTE = f"fewer than {FEW_PATIENTS} patients"


def subgroups(
    columns: Mapping[str, Sequence[str]],
    arms: Mapping[str, tuple[Scored, float]],
    rng: Callable[[str], np.random.Generator],
    resamples: int,
) -> dict[str, dict[str, dict[str, Any]]]:
    """{column: {value: {arm: {"n", "patients", "threshold", "auroc", "tpr", "fpr"}}}}.

    `columns` says of each picture which value it has, [N]; `arms` what each arm said of the same pictures, and the
    threshold of its calls. Groups of fewer than 10 patients have a "note". `rng(purpose)` starts the resamples of a
    group, so that no group's figures depend on which others there are. Differences between groups of such sizes are
    seldom more than chance: an interval that holds the other group's figure shows none.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for column, values in columns.items():
        of = np.asarray(values, dtype=str)
        found[column] = {
            str(value): {
                arm: _of_group(scored.take(of == value), threshold, rng(f"subgroup/{column}/{value}/{arm}"), resamples)
                for arm, (scored, threshold) in arms.items()
            }
            for value in np.unique(of)
        }
    return found


def _of_group(scored: Scored, threshold: float, rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    called = scored.score >= threshold
    few = {"note": NOTE} if scored.patients < FEW_PATIENTS else {}
    return {
        "n": len(scored),
        "patients": scored.patients,
        "threshold": threshold,
        "auroc": auroc(scored, rng, resamples),
        "tpr": rate(scored, called, "tpr"),
        "fpr": rate(scored, called, "fpr"),
        **few,
    }

"""What the scores of the arms say: their figures, operating points and subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from dfukit import clinical
from dfukit.clinical import Scored
from dfukit.interfaces import Step

REAL, BOTH = "real", "real+synthetic"
THRESHOLD = 0.5
"""Calibrated score from which on a picture is called positive where no operating point is meant."""


@frozen(eq=False)
class Judged:
    """Logits of an arm for the pictures of one part, its calibration, and what they really are."""

    logits: np.ndarray
    calibrated: np.ndarray
    labels: np.ndarray


@frozen
class Rules:
    """How figures are made of scores; with the scores they give every figure again, to the last digit."""

    seed: int
    bootstrap: int
    threshold: float
    target_sensitivity: float
    prevalence: float

    def as_table(self) -> dict[str, Any]:
        """As they stand in classification.json."""
        return attrs.asdict(self)

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Rules:
        """From classification.json. Raises KeyError naming what it lacks."""
        return cls(**{field.name: table[field.name] for field in attrs.fields(cls)})

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(Step(self.seed, 0).seed_of(purpose))


def compared(
    validated: Mapping[str, Judged],
    tested: Mapping[str, Judged],
    groups: np.ndarray,
    columns: Mapping[str, Sequence[str]],
    rules: Rules,
) -> dict[str, Any]:
    """What the arms' scores say: "runs", "difference", "confusion", "subgroups" and "warnings" of classification.json.

    `groups` [N] are the patients of the test part, `columns` [N] what subgroups are made by. Intervals come from the
    seed alone: the same scores, groups and columns give the same figures. Raises DataError for scores that are not
    probabilities.
    """
    runs: dict[str, dict[str, Any]] = {}
    scored: dict[str, tuple[Scored, float]] = {}
    for arm, said in tested.items():
        runs[arm] = clinical.figures(
            said.labels, said.calibrated, groups, rules.rng("figures"), rules.bootstrap, rules.threshold
        )
        point = runs[arm]["operating_point"] = operating_point(validated[arm], said, groups, rules)
        threshold = rules.threshold if point["threshold"] is None else point["threshold"]
        scored[arm] = (Scored.of(said.labels, said.calibrated, groups), threshold)
    difference = None
    if BOTH in tested:
        first, second = tested[REAL], tested[BOTH]
        difference = clinical.auroc_difference(
            first.labels, first.calibrated, second.calibrated, groups, rules.rng("difference"), rules.bootstrap
        )
    return {
        "runs": runs,
        "confusion": {
            arm: clinical.confusion(said.labels, said.calibrated, rules.threshold) for arm, said in tested.items()
        },
        "difference": {"auroc": difference},
        "subgroups": clinical.subgroups(columns, scored, rules.rng, rules.bootstrap),
        "warnings": _warnings(runs),
    }


def operating_point(validated: Judged, tested: Judged, groups: np.ndarray, rules: Rules) -> dict[str, Any]:
    """The threshold that reaches the target sensitivity on the validation part, and its figures on the test part.

    "threshold" is None with a "reason" where validation has no positive picture. "validation" says what the threshold
    really reached there, and on how many positive pictures it rests.
    """
    chosen = clinical.choose_threshold(validated.labels, validated.calibrated, rules.target_sensitivity)
    about = {
        "threshold": chosen.value,
        "target_sensitivity": rules.target_sensitivity,
        "chosen_on": "validation",
        "prevalence": _prevalence(tested.labels, rules),
        "prevalence_of": "setting" if rules.prevalence > 0 else "test",
    }
    if chosen.value is None:
        return {**about, "reason": chosen.reason, "figures": {}}
    positive = validated.calibrated[validated.labels]
    return {
        **about,
        "validation": {"sensitivity": float((positive >= chosen.value).mean()), "n": len(positive)},
        "figures": clinical.at_threshold(tested.labels, tested.calibrated, groups, chosen.value, rules.prevalence),
    }


def _prevalence(labels: np.ndarray, rules: Rules) -> float | None:
    if rules.prevalence > 0:
        return rules.prevalence
    return float(labels.mean()) if len(labels) else None


def _warnings(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What makes figures void or suspicious, in words."""
    found = []
    for arm, figures in runs.items():
        auroc = figures["auroc"]
        if auroc["value"] is None:
            found.append(f"{arm}: no AUROC on the test part, {auroc['reason']}")
        elif auroc["interval"] is not None and auroc["interval"][1] < 0.5:
            found.append(
                f"{arm}: the scores run backwards, AUROC {auroc['value']:.3f} with an interval that ends at "
                f"{auroc['interval'][1]:.3f}: look whether labels are swapped"
            )
    return found

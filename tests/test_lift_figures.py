"""The figures of an experiment with synthetic pictures, how wide their intervals are, and which answer they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from lift_cases import settings
from report_folder import LIFT
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from dfukit.lift import Lift, answer, figures
from dfukit.lift.arms import BOTH, MIRROR, REAL, arms_of
from dfukit.lift.figures import Judged
from dfukit.lift.result import compared


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        ((0.001, 0.02), "better"),
        ((-0.2, -0.1), "worse"),
        ((-0.02, 0.03), "no difference larger than 0.03"),
        ((-0.06, 0.06), "too few patients to tell"),
        (None, "too few patients to tell"),
    ],
)
def test_the_four_answers(interval: tuple[float, float] | None, told: str) -> None:
    found = answer.verdict(answer.Estimate(0.01, interval, 0.01, 0.01), 0.03, 100)
    assert found["answer"] == told
    # Half a width of 0.06 falls to 0.03 with four times the patients.
    assert found["patients_needed"] == (400 if interval == (-0.06, 0.06) else None)


@pytest.mark.parametrize(("low", "high"), [(-0.033, 0.002), (-0.05, 0.03), (-0.01, 0.04)])
def test_the_patients_that_it_would_take_settle_the_question(low: float, high: float) -> None:
    asked = answer.verdict(answer.Estimate(0.0, (low, high), 0.01, 0.01), 0.03, 500)
    narrower = (500 / asked["patients_needed"]) ** 0.5
    middle, half = (low + high) / 2, (high - low) / 2 * narrower
    settled = answer.verdict(answer.Estimate(middle, (middle - half, middle + half), 0.01, 0.01), 0.03, 500)
    assert asked["answer"] == "too few patients to tell"
    assert settled["patients_needed"] is None


def made_up(seed: int, folds: int = 2, seeds: int = 2) -> Judged:
    rng = np.random.default_rng(seed)
    labels = rng.random(60) < 0.4
    scores = np.round(1 / (1 + np.exp(-(rng.normal(size=(seeds, 60)) + labels))), 2)
    return Judged(labels, np.arange(60) // 2 % folds, np.arange(60) // 2, scores)


def test_figures_of_one_fold_are_those_of_everybody() -> None:
    tested = made_up(0, folds=1, seeds=1)
    counted = figures.count({"real": tested}, 0.9, 100, 0)["real"]
    scores = tested.scores[0]
    assert counted["auroc"].value == pytest.approx(roc_auc_score(tested.labels, scores))
    surprise = -np.log(np.where(tested.labels, scores, 1 - scores))
    assert counted["log_loss"].value == pytest.approx(surprise.mean())
    negative = scores[~tested.labels]
    allowed = [cut for cut in np.unique(scores) if (negative >= cut).mean() <= 0.1 + 1e-9]
    assert counted["recall"].value == pytest.approx((scores[tested.labels] >= min(allowed)).mean())


def test_scores_are_compared_within_a_fold_and_seed_only() -> None:
    tested = made_up(0)
    shifted = evolve(tested, scores=tested.scores * np.where(tested.folds == 0, 0.5, 1.0))
    first, second = (figures.count({"a": one}, 0.9, 100, 0)["a"] for one in (tested, shifted))
    assert first["auroc"].value == second["auroc"].value
    assert first["recall"].value == second["recall"].value


def test_recall_counts_nothing_where_a_resample_has_no_negative_picture() -> None:
    # Two patients, of whom the healthy one is scored higher: no resample has anything to recall.
    tested = Judged(np.array([True, False]), np.zeros(2, np.int64), np.arange(2), np.array([[0.1, 0.9]]))
    recall = figures.count({"a": tested}, 0.9, 100, 0)["a"]["recall"]
    assert recall.resampled.max() == 0
    assert sorted(set(recall.resampled_possible)) == [0, 1]  # one class drawn twice; one of each


def answered(second: np.ndarray) -> dict[str, Any]:
    """The answer where the networks of the arm `real` agree, and those of the other arm gave the scores `second`."""
    first = evolve(made_up(0), scores=np.repeat(made_up(0).scores[:1], 2, axis=0))
    tested = {REAL: first, BOTH: evolve(first, scores=second), MIRROR: first}
    told = settings(**{"lift.bootstrap": 100})
    return compared(told, arms_of(told), tested, known=True)


def test_where_the_seeds_make_the_width_more_of_them_come_first(tmp_path: Path) -> None:
    other = made_up(1).scores[0]
    right = np.where(made_up(0).labels, 0.9, 0.1)
    for second, expected in (([other, other], False), ([right, 1 - right], True)):
        told = answered(np.stack(second))
        assert told["answer"] == "too few patients to tell"
        assert told["more_seeds_first"] == expected
        text = Lift(tmp_path, {**LIFT, **told, "look": None}).as_text()
        assert ("more of these (--seeds) come first" in text) == expected


def test_an_arm_against_itself_differs_by_nothing_and_says_how_sure_that_is() -> None:
    tested = made_up(0)
    counted = figures.count({"a": tested, "b": tested}, 0.9, 100, 0)
    found = answer.difference_of(counted["a"]["auroc"], counted["b"]["auroc"], tested, "auroc")
    assert found.value == 0
    assert found.interval is not None
    assert found.interval[1] > 0.1  # a dozen patients of the rarer side, and none that differed
    assert answer.verdict(found, 0.03, 30)["answer"] == "too few patients to tell"


def test_seeds_that_disagree_widen_the_interval() -> None:
    calm, wild = made_up(0), made_up(0)
    reference = evolve(calm, scores=np.repeat(calm.scores[:1], 2, 0))
    calm = evolve(calm, scores=np.repeat(made_up(1).scores[:1], 2, 0))
    wild = evolve(wild, scores=np.stack([made_up(1).scores[0], 1 - made_up(1).scores[0]]))
    counted = figures.count({"a": reference, "calm": calm, "wild": wild}, 0.9, 100, 0)
    steady, jumpy = (
        answer.difference_of(counted["a"]["auroc"], counted[name]["auroc"], reference, "auroc")
        for name in ("calm", "wild")
    )
    assert steady.from_seeds == 0
    assert jumpy.from_seeds > 0.05


def test_a_width_is_made_of_students_for_the_patients_and_for_the_seeds() -> None:
    tested = evolve(made_up(0), labels=np.arange(60) // 2 < 4)  # four patients of the rarer side
    second = evolve(tested, scores=made_up(1).scores)
    counted = figures.count({"a": tested, "b": second}, 0.9, 200, 0)
    one, other = counted["a"]["auroc"], counted["b"]["auroc"]
    with np.errstate(invalid="ignore"):  # none of the four may be drawn
        draws = (other.resampled - one.resampled) / one.resampled_possible
    of_patients = np.std(draws[np.isfinite(draws)]) * np.sqrt(30 / 29)
    apart = other.counted - one.counted  # two folds, two seeds
    of_seeds = np.sqrt((apart.var(1, ddof=1) / 2).sum()) / one.possible.sum()
    half = np.hypot(t.ppf(0.975, 4 - 1) * of_patients, t.ppf(0.975, 2 * (2 - 1)) * of_seeds)
    found = answer.difference_of(one, other, tested, "auroc")
    assert (found.from_patients, found.from_seeds) == pytest.approx((of_patients, of_seeds))
    assert found.interval == pytest.approx((found.value - half, found.value + half))

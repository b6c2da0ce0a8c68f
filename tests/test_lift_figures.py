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
from dfukit.report.lift import read_lift

UNSURE = "too few patients to tell"


def difference(value: float, of_patients: float, of_seeds: float = 0.0) -> answer.Estimate:
    """With so much of half its width from the patients, and from the seeds."""
    half = np.hypot(of_patients, of_seeds)
    ends = (value - half, value + half)
    return answer.Estimate(value, ends, 0.01, 0.01, half_of_patients=of_patients, half_of_seeds=of_seeds)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (difference(0.0105, 0.0095), "better"),
        (difference(-0.15, 0.05), "worse"),
        (difference(0.01, 0.02), "no difference larger than 0.03"),
        (difference(0.0, 0.06), UNSURE),
        (answer.Estimate(None, None, 0.0, 0.0, "the test part has one class only"), UNSURE),
    ],
)
def test_the_four_answers(found: answer.Estimate, told: str) -> None:
    verdict = answer.verdict(found, 0.03, 100)
    assert verdict["answer"] == told
    # Half a width of 0.06 falls to 0.03 with four times the patients.
    assert verdict["patients_needed"] == (400 if found.value == 0 else None)


@pytest.mark.parametrize(
    ("value", "of_patients", "of_seeds"),
    [(-0.0155, 0.015, 0.01), (-0.01, 0.04, 0.015), (0.015, 0.025, 0.0), (0.0, 0.02, 0.0299)],
)
def test_the_patients_that_it_would_take_and_no_fewer_settle_the_question(
    value: float, of_patients: float, of_seeds: float
) -> None:
    def told(patients: int) -> str:
        """The answer with so many: the patients' part is narrower, and the seeds' is what it was."""
        found = difference(value, of_patients * (500 / patients) ** 0.5, of_seeds)
        return str(answer.verdict(found, 0.03, 500)["answer"])

    asked = answer.verdict(difference(value, of_patients, of_seeds), 0.03, 500)
    assert asked["answer"] == UNSURE
    assert told(asked["patients_needed"]) != UNSURE
    assert told(asked["patients_needed"] - 1) == UNSURE


@pytest.mark.parametrize(("value", "of_seeds"), [(0.0, 0.03), (0.02, 0.0201), (-0.01, 0.5)])
def test_where_the_seeds_alone_leave_it_open_no_number_of_patients_is_told(
    tmp_path: Path, value: float, of_seeds: float
) -> None:
    told = answer.verdict(difference(value, 0.05, of_seeds), 0.03, 500)
    assert told == {"answer": UNSURE, "patients_needed": None}
    table = {**LIFT, **told, "look": None}
    words = "with 3 seeds no number of patients would settle it (margin 0.03)"
    assert words in Lift(tmp_path, table).as_text()
    page = read_lift(table, "patient", False, str)
    assert page is not None
    assert words in page.verdict.detail
    one_class = {**LIFT["difference"], "value": None, "interval": None, "reason": "the test part has one class only"}
    for lacking in ({**table, "answer": "better"}, {**table, "difference": one_class}):
        assert "no number of patients" not in Lift(tmp_path, lacking).as_text()


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


@pytest.mark.parametrize(
    ("apart", "larger_error", "larger_half"),
    [(0.0, "patients", "patients"), (0.15, "patients", "seeds"), (0.3, "seeds", "seeds")],
)
def test_where_the_seeds_make_most_of_the_width_more_of_them_come_first(
    tmp_path: Path, apart: float, larger_error: str, larger_half: str
) -> None:
    """Two seeds in two folds have fewer degrees of freedom than 21 patients."""
    other = made_up(1).scores[0]
    right = np.where(made_up(0).labels, 0.9, 0.1)
    told = answered(np.stack([other, (1 - apart) * other + apart * right]))
    error = told["difference"]["standard_error"]
    half = {"patients": t.ppf(0.975, 21 - 1) * error["patients"], "seeds": t.ppf(0.975, 2) * error["seeds"]}
    assert (max(error, key=error.get), max(half, key=half.get)) == (larger_error, larger_half)
    assert told["answer"] == UNSURE
    assert told["more_seeds_first"] == (larger_half == "seeds")
    table = {**LIFT, **told, "look": None}
    page = read_lift(table, "patient", False, str)
    assert page is not None
    for text in (Lift(tmp_path, table).as_text(), page.verdict.detail):
        assert ("most of its width comes from the seeds" in text) == (larger_half == "seeds")


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
    assert half < 1
    assert found.interval == pytest.approx((found.value - half, found.value + half))
    assert found.half == pytest.approx(half)


def test_a_difference_of_shares_is_shown_within_1_and_judged_by_its_whole_width() -> None:
    tested = evolve(made_up(0), labels=np.arange(60) // 2 < 2)  # two patients of the rarer side
    counted = figures.count({"a": tested, "b": evolve(tested, scores=made_up(1).scores)}, 0.9, 200, 0)
    for name in ("auroc", "recall"):
        found = answer.difference_of(counted["a"][name], counted["b"][name], tested, name)
        assert found.half > 1
        assert found.interval == (-1, 1)
    settled = max(abs(found.value), 0.03 - abs(found.value))
    alone = evolve(found, half_of_patients=found.half, half_of_seeds=0.0)
    assert answer.verdict(alone, 0.03, 30)["patients_needed"] == np.ceil(30 * (found.half / settled) ** 2)


def test_a_difference_of_log_losses_is_not_cut_off() -> None:
    tested = made_up(0)
    sure = np.where(tested.labels, 1e-9, 1 - 1e-9)  # of what is wrong
    counted = figures.count({"a": tested, "b": evolve(tested, scores=np.stack([sure, sure]))}, 0.9, 200, 0)
    found = answer.difference_of(counted["a"]["log_loss"], counted["b"]["log_loss"], tested, "log_loss")
    assert found.interval is not None
    assert 1 < found.interval[0] < found.value < found.interval[1]

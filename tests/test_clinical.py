"""Clinical figures, intervals and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from dfukit import clinical
from dfukit.clinical import resampling
from dfukit.errors import DataError
from dfukit.lift.answer import difference_of
from dfukit.lift.figures import Judged, count


def made_up(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores (with ties) and groups."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    score = np.round(np.clip(0.35 * labels + 0.7 * rng.random(n), 0, 1), 2)
    return labels, score, rng.integers(0, n // 3, n)


def figures(labels: np.ndarray, score: np.ndarray, groups: np.ndarray, resamples: int = 200) -> dict[str, dict]:
    return clinical.figures(labels, score, groups, np.random.default_rng(0), resamples)


def test_figures_equal_scikit_learn() -> None:
    labels, score, groups = made_up()
    called = score >= 0.5
    true_negative, false_positive, _, _ = metrics.confusion_matrix(labels, called).ravel()
    expected = {
        "accuracy": metrics.accuracy_score(labels, called),
        "precision": metrics.precision_score(labels, called),
        "recall": metrics.recall_score(labels, called),
        "f1": metrics.f1_score(labels, called),
        "auroc": metrics.roc_auc_score(labels, score),
        "tpr": metrics.recall_score(labels, called),
        "fpr": false_positive / (false_positive + true_negative),
        "brier": metrics.brier_score_loss(labels, score),
        "log_loss": metrics.log_loss(labels, np.clip(score, 1e-15, 1 - 1e-15)),
    }
    found = figures(labels, score, groups)
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert set(found) == {*expected, "ece"}


def test_percentile_intervals_are_those_of_scikit_learns_figures_on_resampled_pictures() -> None:
    labels, score, _ = made_up(60)
    groups = np.arange(60) // 2
    found = clinical.figures(labels, score, groups, np.random.default_rng(1), 100)
    drawn = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), size=100)
    values: dict[str, list[float]] = {"f1": [], "brier": [], "log_loss": []}
    for counts in drawn:
        index = np.repeat(np.arange(60), counts[groups])
        y, s = labels[index], score[index]
        values["f1"].append(metrics.f1_score(y, s >= 0.5))
        values["brier"].append(metrics.brier_score_loss(y, s))
        values["log_loss"].append(metrics.log_loss(y, np.clip(s, 1e-15, 1 - 1e-15)))
    for name, draws in values.items():
        assert found[name]["interval"] == pytest.approx(np.percentile(draws, (2.5, 97.5))), name


def test_the_aurocs_of_resamples_are_scikit_learns() -> None:
    labels, score, groups = made_up(60)
    weights = np.concatenate(list(resampling.resampled_weights(groups, np.random.default_rng(1), 20)))
    index = [np.repeat(np.arange(60), counts.astype(int)) for counts in weights]
    expected = [metrics.roc_auc_score(labels[some], score[some]) for some in index]
    assert resampling.Ranking(labels, score).auroc(weights) == pytest.approx(expected)


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    labels = np.array([True, False, True, True])
    score = np.array([0.9, 0.9, 0.2, 0.2])
    found = figures(labels, score, np.arange(4))
    assert found["ece"]["value"] == pytest.approx(0.5 * abs(0.5 - 0.9) + 0.5 * abs(1.0 - 0.2))


def test_a_calibrated_model_lies_in_the_calibrated_band() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(160)
    labels = rng.random(160) < score
    low, high = figures(labels, score, np.arange(160), 1000)["ece"]["calibrated_band"]
    assert low < 0.098 < high
    assert low <= figures(labels, score, np.arange(160))["ece"]["value"] <= high


def test_the_calibrated_band_is_as_wide_as_patients_and_not_pictures_make_it() -> None:
    labels, score, _ = made_up(40)
    alone = figures(labels, score, np.arange(40), 1000)["ece"]["calibrated_band"]
    repeated = figures(np.repeat(labels, 10), np.repeat(score, 10), np.repeat(np.arange(40), 10), 1000)["ece"]
    pretended = figures(np.repeat(labels, 10), np.repeat(score, 10), np.arange(400), 1000)["ece"]
    assert repeated["calibrated_band"] == pytest.approx(alone)
    assert pretended["calibrated_band"][1] < 0.6 * alone[1]


def test_patients_of_both_classes_do_not_make_a_calibrated_model_of_a_wrong_one() -> None:
    groups, labels = np.repeat(np.arange(20), 10), np.arange(200) % 2 == 0
    error = figures(labels, np.full(200, 0.7) + np.arange(200) * 1e-6, groups)["ece"]
    assert error["value"] == pytest.approx(0.2, abs=1e-3)
    assert error["calibrated_band"][1] < error["interval"][0]


def test_the_interval_of_the_calibration_error_reaches_to_0_where_a_calibrated_model_may_have_it() -> None:
    labels, score, groups = made_up()
    error = figures(labels, 0.3 * score, groups)["ece"]
    assert error["calibrated_band"][1] < error["value"]
    assert 0 < error["interval"][0] < error["value"]
    calibrated = np.random.default_rng(0).random(200) < score
    error = figures(calibrated, score, np.arange(200))["ece"]
    assert error["value"] < error["calibrated_band"][1]
    assert error["interval"][0] == 0


def test_an_interval_holds_its_value_and_says_how_many_patients_it_rests_on() -> None:
    labels, score, groups = made_up()
    for name, figure in figures(labels, score, groups).items():
        low, high = figure["interval"]
        assert low < high
        assert low <= figure["value"] <= high, name
        assert figure["patients"] <= len(np.unique(groups))
    assert figures(labels, score, groups)["recall"]["n"] == labels.sum()


def test_patients_with_many_pictures_widen_the_interval() -> None:
    labels, score, _ = made_up(40)
    alone = figures(labels, score, np.arange(40), 1000)["auroc"]
    repeated = figures(np.repeat(labels, 10), np.repeat(score, 10), np.repeat(np.arange(40), 10), 1000)["auroc"]
    pretended = figures(np.repeat(labels, 10), np.repeat(score, 10), np.arange(400), 1000)["auroc"]
    assert repeated["interval"] == pytest.approx(alone["interval"])
    assert np.ptp(pretended["interval"]) < 0.6 * np.ptp(repeated["interval"])


def test_a_flawless_share_keeps_an_interval_with_patients_as_trials() -> None:
    labels = np.arange(20) % 2 == 0
    accuracy = figures(labels, labels.astype(float), np.arange(20))["accuracy"]
    assert accuracy["value"] == 1.0
    square = 2.0930240544**2  # Student's t with 19 degrees of freedom
    assert accuracy["interval"] == pytest.approx([20 / (20 + square), 1.0])
    twice = figures(np.repeat(labels, 2), np.repeat(labels, 2).astype(float), np.repeat(np.arange(20), 2))["accuracy"]
    assert twice["interval"] == accuracy["interval"]


def test_classes_that_are_told_apart_without_an_error_are_no_certainty() -> None:
    labels = np.arange(20) % 2 == 0
    low, high = figures(labels, labels.astype(float), np.arange(20))["auroc"]["interval"]
    assert 0.5 < low < 0.75
    assert high == 1.0


def test_a_test_part_of_one_class_gives_reasons_instead_of_figures() -> None:
    found = figures(np.zeros(10, bool), np.linspace(0, 0.4, 10), np.arange(10))
    assert found["auroc"] == {
        "value": None,
        "interval": None,
        "reason": "these pictures have one class only",
        "n": 10,
        "patients": 10,
    }
    for name in ("precision", "recall", "f1"):
        assert found[name]["value"] is None
        assert found[name]["reason"]
    assert found["fpr"]["value"] == 0.0


def test_an_empty_test_part_gives_reasons_instead_of_figures() -> None:
    found = figures(np.zeros(0, bool), np.zeros(0), np.zeros(0, int))
    assert {figure["reason"] for figure in found.values()} == {"no picture"}


def test_one_patient_has_no_interval() -> None:
    labels, score, _ = made_up(30)
    figure = figures(labels, score, np.zeros(30, int))["auroc"]
    assert figure["value"] is not None
    assert figure["interval"] is None
    assert "one patient" in figure["reason"]


def test_one_patient_of_a_class_has_no_interval_of_the_auroc() -> None:
    labels, score, _ = made_up(30)
    figure = figures(labels, score, np.where(labels, 0, np.arange(30) + 1))["auroc"]
    assert figure["value"] is not None
    assert (figure["interval"], figure["reason"]) == (None, "one patient only of a class: no interval")


@pytest.mark.parametrize("labels", [np.array([0, 1]), np.array([1.0, 0.0]), np.array(["infected", "healthy"])])
def test_labels_that_do_not_say_which_class_is_positive_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"labels must say positive or not \(bool\), got"):
        figures(labels, np.array([0.2, 0.8]), np.arange(2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_scores_that_are_no_probabilities_are_rejected(bad: float) -> None:
    labels, score, groups = made_up()
    score[3] = bad
    with pytest.raises(DataError, match="score"):
        figures(labels, score, groups)


def test_the_bootstrap_does_not_depend_on_how_it_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, score, groups = made_up()
    whole = figures(labels, score, groups)["auroc"]
    monkeypatch.setattr(resampling, "BLOCK", 7 * len(labels))
    assert figures(labels, score, groups)["auroc"] == whole


def test_a_difference_is_paired() -> None:
    labels, score, groups = made_up()
    rng = np.random.default_rng(0)
    same = clinical.auroc_difference(labels, score, score**2, groups, rng, 200)
    assert same["value"] == 0.0
    assert -same["interval"][0] == same["interval"][1] > 0
    better = clinical.auroc_difference(labels, score, 0.5 * score + 0.5 * labels, groups, rng, 200)
    expected = metrics.roc_auc_score(labels, score + labels) - metrics.roc_auc_score(labels, score)
    assert better["value"] == pytest.approx(expected)
    assert 0 < better["interval"][0] < better["value"] < better["interval"][1]


def test_two_flawless_classifiers_leave_room_for_a_difference() -> None:
    labels, groups = np.arange(18) % 2 == 0, np.arange(18)
    score = np.where(labels, 0.9, 0.1)
    rng = np.random.default_rng(0)
    found = clinical.auroc_difference(labels, score, score**2, groups, rng, 200)
    assert found["value"] == 0.0
    # Clopper and Pearson's upper end for none of the 9 patients of the rarer class.
    assert found["interval"] == pytest.approx([0.025 ** (1 / 9) - 1, 1 - 0.025 ** (1 / 9)])


@pytest.mark.parametrize("few", [False, True])
def test_a_difference_has_the_interval_that_lift_gives_it(few: bool) -> None:
    labels, score, _ = made_up(60)
    groups = np.arange(60)
    other = np.round(np.clip(score + 0.3 * np.random.default_rng(1).normal(size=60), 0, 1), 2)
    if few:  # four patients of the rarer side, and scores that are far apart
        labels, other = groups < 4, 1 - score
    found = clinical.auroc_difference(labels, score, other, groups, np.random.default_rng(2), 200)
    judged = {name: Judged(labels, np.zeros(60), groups, said[None]) for name, said in (("a", score), ("b", other))}
    counts = count(judged, 0.9, 200, 2)
    expected = difference_of(counts["a"]["auroc"], counts["b"]["auroc"], judged["a"], "auroc")
    assert found["value"] == pytest.approx(expected.value)
    assert found["interval"] == pytest.approx(expected.interval)
    assert (-1 in found["interval"] or 1 in found["interval"]) == few


def test_a_difference_with_one_patient_of_a_class_has_no_interval() -> None:
    labels, groups = np.array([True, False, False, True]), np.array([0, 1, 2, 0])
    score = np.array([0.9, 0.1, 0.2, 0.4])
    found = clinical.auroc_difference(labels, score, score**2, groups, np.random.default_rng(0), 50)
    assert (found["interval"], found["reason"]) == (None, "one patient only of a class: no interval")


def test_what_no_resample_moves_has_no_interval() -> None:
    labels, groups = np.arange(12) % 2 == 0, np.arange(12)
    constant, flawless = figures(labels, np.full(12, 0.3), groups), figures(labels, np.where(labels, 0.9, 0.1), groups)
    found = [constant["auroc"], constant["f1"], *(flawless[name] for name in ("f1", "brier", "log_loss", "ece"))]
    assert [figure["value"] for figure in found[:3]] == [0.5, 0.0, 1.0]
    for figure in found:
        assert (figure["interval"], figure["reason"]) == (None, "no resample moved it: no interval")


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 1.5, 4000)
    labels = rng.random(4000) < clinical.calibrated(true_logits, 1.0)
    assert clinical.fit_temperature(3 * true_logits, labels).value == pytest.approx(3.0, rel=0.1)


def test_classes_told_apart_without_an_error_do_not_end_in_certainty() -> None:
    labels = np.arange(20) % 2 == 0
    logits = np.where(labels, 5.0, -5.0)
    found = clinical.fit_temperature(logits, labels)
    assert clinical.calibrated(logits, found.value).max() == pytest.approx(11 / 12, abs=1e-3)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(np.arange(9) % 2 == 0, "too few"), (np.ones(30, bool), "one class only")],
)
def test_without_enough_to_fit_the_temperature_is_one(labels: np.ndarray, reason: str) -> None:
    found = clinical.fit_temperature(np.linspace(-2, 2, len(labels)), labels)
    assert found.value == 1.0
    assert reason in str(found.reason)


def test_the_counts_of_a_confusion_matrix_add_up() -> None:
    labels, score, _ = made_up()
    found = clinical.confusion(labels, score)
    matrix = metrics.confusion_matrix(labels, score >= 0.5)
    assert [found[key] for key in ("true_negative", "false_positive", "false_negative", "true_positive")] == [
        *matrix.ravel()
    ]

"""The operating point: its threshold, and what it means at a stated prevalence."""

from __future__ import annotations

import numpy as np
import pytest

from dfukit import clinical


def made_up(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    return labels, np.clip(0.35 * labels + 0.65 * rng.random(n), 0, 1), rng.integers(0, n // 2, n)


@pytest.mark.parametrize("target", [0.05, 0.5, 0.7, 0.9, 1.0])
def test_the_threshold_is_the_highest_that_reaches_the_target(target: float) -> None:
    labels, score, _ = made_up()
    threshold = clinical.choose_threshold(labels, score, target).value
    assert threshold is not None
    assert (score[labels] >= threshold).mean() >= target
    assert (score[labels] > threshold).mean() < target


def test_a_target_that_is_met_exactly_asks_for_no_further_picture() -> None:
    score = np.arange(1, 11) / 10  # 0.7 x 10 is a little more than 7 in floating point
    assert clinical.choose_threshold(np.ones(10, bool), score, 0.7).value == 0.4


def test_without_positive_pictures_there_is_no_operating_point() -> None:
    chosen = clinical.choose_threshold(np.zeros(5, bool), np.linspace(0, 1, 5), 0.9)
    assert chosen.value is None
    assert "no positive picture" in str(chosen.reason)


def test_a_picture_whose_score_is_the_threshold_is_called_positive() -> None:
    labels, score, groups = made_up()
    threshold = clinical.choose_threshold(labels, score, 0.7).value
    assert threshold is not None
    assert threshold in score[labels]
    found = clinical.at_threshold(labels, score, groups, threshold, 0.0)
    assert found["tpr"]["value"] == (score[labels] >= threshold).mean() >= 0.7
    assert found["ppv"]["n"] == (score >= threshold).sum()


def test_predictive_values_at_the_pictures_own_prevalence_are_plain_shares() -> None:
    labels, score, groups = made_up()
    found = clinical.at_threshold(labels, score, groups, 0.5, 0.0)
    called = score >= 0.5
    assert found["ppv"]["value"] == labels[called].mean()
    assert found["npv"]["value"] == (~labels[~called]).mean()
    assert found["ppv"]["n"] == called.sum()
    same = clinical.at_threshold(labels, score, groups, 0.5, float(labels.mean()))
    for name in ("ppv", "npv"):
        assert same[name]["value"] == pytest.approx(found[name]["value"])
        assert same[name]["interval"] == pytest.approx(found[name]["interval"], abs=0.06)


def test_predictive_values_follow_the_prevalence_by_bayes() -> None:
    labels, score, groups = made_up()
    found = clinical.at_threshold(labels, score, groups, 0.5, 0.05)
    tpr, fpr = found["tpr"]["value"], found["fpr"]["value"]
    assert found["ppv"]["value"] == pytest.approx(0.05 * tpr / (0.05 * tpr + 0.95 * fpr))
    assert found["npv"]["value"] == pytest.approx(0.95 * (1 - fpr) / (0.95 * (1 - fpr) + 0.05 * (1 - tpr)))
    for figure in found.values():
        low, high = figure["interval"]
        assert 0 <= low < figure["value"] < high <= 1


def test_shares_of_nought_and_one_have_an_interval_that_starts_at_the_value() -> None:
    labels = np.arange(40) % 2 == 0
    flawless = clinical.at_threshold(labels, labels.astype(float), np.arange(40), 0.5, 0.1)
    for name in ("ppv", "npv"):
        low, high = flawless[name]["interval"]
        assert (flawless[name]["value"], high) == (1.0, 1.0)
        assert 0 < low < 1
    backwards = clinical.at_threshold(labels, (~labels).astype(float), np.arange(40), 0.5, 0.1)
    low, high = backwards["ppv"]["interval"]
    assert (backwards["ppv"]["value"], low) == (0.0, 0.0)
    assert 0 < high < 0.1


def test_what_means_nothing_has_a_reason() -> None:
    labels = np.arange(10) % 2 == 0
    nobody = clinical.at_threshold(labels, np.zeros(10), np.arange(10), 0.5, 0.1)
    assert nobody["ppv"]["reason"] == "no picture was called positive"
    one_class = clinical.at_threshold(np.ones(10, bool), np.ones(10), np.arange(10), 0.5, 0.1)
    assert one_class["fpr"]["reason"] == one_class["ppv"]["reason"] == "none of these pictures is negative"
    one_patient = clinical.at_threshold(labels, labels * 0.8, np.zeros(10, int), 0.5, 0.1)
    assert one_patient["ppv"]["interval"] is None
    assert "one patient only" in one_patient["ppv"]["reason"]

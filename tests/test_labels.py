"""The audit of labels: planted swaps are found, and few others are accused."""

from __future__ import annotations

import numpy as np
import pytest

from dfukit import labels, phantom
from dfukit.labels import audit_real, audit_synthetic, colours

PATIENTS, PICTURES, FOLDS = 120, 3, 5


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, true labels and patients of the phantom set."""
    pixels, true, patients = phantom.draw_set(PATIENTS, PICTURES, 0, labels.SIDE)
    return colours(pixels), true, patients


def swapped(true: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which 5% are wrong, and which."""
    wrong = np.zeros(len(true), bool)
    wrong[np.random.default_rng(seed).choice(len(true), round(0.05 * len(true)), replace=False)] = True
    return np.where(wrong, 1 - true, true), wrong


def test_most_planted_swaps_are_found_and_few_others_flagged(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    features, true, patients = drawn
    found, false = [], []
    for seed in range(5):
        told, wrong = swapped(true, seed)
        fold = np.random.default_rng(seed).permutation(PATIENTS)[patients] % FOLDS
        doubts = audit_real(features, told, patients, fold, 2)
        found.append(doubts.flagged[wrong].mean())
        false.append(doubts.flagged[~wrong].mean())
        assert (doubts.suggested[doubts.flagged] == 1 - told[doubts.flagged]).all()
    assert np.mean(found) >= 0.8, (found, false)
    assert np.mean(false) <= 0.05, (found, false)


def test_a_synthetic_set_of_the_same_kind_is_flagged_about_as_often_as_real_pictures_are(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    features, true, patients = drawn
    half = patients < PATIENTS // 2
    right = audit_synthetic(features[half], true[half], patients[half], features[~half], true[~half], 2)
    wrong = audit_synthetic(features[half], true[half], patients[half], features[~half], 1 - true[~half], 2)
    assert right.flagged.mean() <= 0.1
    assert wrong.flagged.mean() > 3 * right.flagged.mean()


def test_without_a_second_class_nothing_is_flagged() -> None:
    features = np.random.default_rng(0).normal(size=(12, 3))
    doubts = audit_real(features, np.zeros(12, np.int64), np.arange(12), np.arange(12) % 3, 2)
    assert not doubts.flagged.any()
    assert np.isnan(doubts.given).all()


def test_colours_are_those_of_a_picture_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 40, 40, 3), np.uint8)
    np.testing.assert_allclose(colours(pixels)[3:4], colours(pixels[3:4]), rtol=1e-6)

"""Scores of each class, the measurement floor, and the halves and views that metrics share."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t
from scoring_parts import Views, noise, pictures, scores_of, with_ours

from dfukit.interfaces import Score, View
from dfukit.scoring.entries import entry
from dfukit.scoring.halvings import HALVINGS, Halved, degrees_of, halvings


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def halves(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of two classes, and their labels."""
    return np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])


REAL, REAL_LABELS = halves(pictures(0, 40), pictures(1, 44))
FAKE, FAKE_LABELS = halves(pictures(2, 30), pictures(3, 24) // 4)
LABELS = {"train": REAL_LABELS, "synthetic": FAKE_LABELS}


def colours(real: np.ndarray, fake: np.ndarray, *metrics: str, **changes: Any) -> dict[str, dict[str, Any]]:
    return scores_of({"train": real}, fake, metrics or ("kd",), with_ours(), extractor="colour", **changes)


def test_each_class_has_an_entry_of_its_own() -> None:
    entry = colours(REAL, FAKE, labels=LABELS, classes=("good", "dark"))["kd[colour]"]
    good, dark = entry["classes"]["good"], entry["classes"]["dark"]
    assert (good["n"], dark["n"]) == ([40, 30], [44, 24])
    assert good["value"] == pytest.approx(colours(REAL[:40], FAKE[:30])["kd[colour]"]["value"])
    assert dark["interval"][0] > dark["floor"][1]
    assert "classes" not in good
    json.dumps(entry, allow_nan=False)


def test_a_metric_that_changes_its_names_with_the_pictures_loses_nothing_else() -> None:
    content = colours(REAL, FAKE, "fickle", "kd", labels=LABELS, classes=("good", "dark"))
    second = content["second[colour]"]["classes"]["good"]
    assert (second["value"], second["reason"]) == (None, "fickle gave no figure of that name")
    assert content["first[colour]"]["classes"]["good"]["value"] == 1.0
    assert content["kd[colour]"]["classes"]["good"]["value"] is not None


def test_the_held_out_part_has_classes_where_its_labels_are_known() -> None:
    parts = {"train": REAL, "test": pictures(5, 24)}
    labels = LABELS | {"test": np.arange(24) % 2}
    both = scores_of(parts, FAKE, ["kd"], with_ours(), extractor="colour", labels=labels, classes=("a", "b"))
    assert both["kd[colour]@test"]["classes"]["b"]["n"] == [12, 24]
    one = scores_of(parts, FAKE, ["kd"], with_ours(), extractor="colour", labels=LABELS, classes=("a", "b"))
    assert "classes" not in one["kd[colour]@test"]
    assert "classes" in one["kd[colour]"]


def test_a_class_with_too_few_pictures_is_null_with_its_reason() -> None:
    labels = {"train": REAL_LABELS, "synthetic": np.repeat([0, 1], [50, 4])}
    rare = colours(REAL, FAKE, labels=labels, classes=("good", "rare"))["kd[colour]"]["classes"]["rare"]
    assert rare["value"] is None
    assert rare["reason"] == "needs at least 10 pictures in each set, got 44 real and 4 synthetic"


def test_without_labels_or_with_one_class_there_are_no_classes() -> None:
    assert "classes" not in colours(REAL, FAKE)["kd[colour]"]
    alone = {"train": np.zeros(84, np.int64), "synthetic": np.zeros(54, np.int64)}
    assert "classes" not in colours(REAL, FAKE, labels=alone, classes=("only",))["kd[colour]"]


def test_of_larger_sets_labels_are_drawn_with_their_pictures() -> None:
    entry = colours(REAL, FAKE, labels=LABELS, classes=("good", "dark"), pictures=40)["kd[colour]"]
    good, dark = entry["classes"]["good"], entry["classes"]["dark"]
    assert good["n"][1] + dark["n"][1] == 40
    assert dark["interval"][0] > good["interval"][1]


def test_the_floor_is_the_spread_of_real_against_real() -> None:
    entry = colours(pictures(0, 60), noise(1, 60), "fd")["fd[colour]"]
    assert entry["floor"][0] <= entry["real_vs_real"] <= entry["floor"][1]
    assert entry["floor"][0] < entry["floor"][1]
    assert entry["at_half"] > entry["floor"][1]
    assert "note" not in entry


def test_fakes_as_good_as_real_halves_are_noted_as_below_the_floor() -> None:
    same = pictures(0, 60)
    entry = colours(same, same[::-1].copy(), "fd")["fd[colour]"]
    assert entry["note"] == "below the measurement floor at this n"


@pytest.mark.parametrize(
    ("better", "fakes", "note"),
    [
        ("higher", 0.80, "below the measurement floor at this n"),
        ("higher", 0.70, None),
        ("higher", 2.0, "above what real halves give"),
        ("lower", 0.70, "below the measurement floor at this n"),
        ("lower", 2.0, None),
    ],
)
def test_a_figure_is_told_from_real_halves_on_either_side(better: str, fakes: float, note: str | None) -> None:
    metric = SimpleNamespace(better=better, bounds=(0.0, math.inf))
    halved = Halved(20, floors=[0.75, *[0.85] * (HALVINGS - 1)], fakes=[fakes] * HALVINGS, spread=[fakes] * HALVINGS)
    assert entry(Score(fakes, (40, 40)), metric, halved).get("note") == note


def test_metrics_share_halves_and_the_very_same_views() -> None:
    Views.seen.clear()
    colours(REAL, FAKE, "views", "other_views", labels=LABELS, classes=("good", "dark"))
    calls = Views.seen
    # Each calls for the whole and for ten halvings, of both sets and of each of two classes.
    assert len(calls) == 2 * 3 * (1 + 10 * 3)
    assert len({(id(real), id(fake)) for real, fake in calls}) == len(calls) / 2


def test_halves_are_the_same_whichever_other_metrics_are_measured() -> None:
    alone = colours(REAL, FAKE, "kd", labels=LABELS, classes=("good", "dark"))
    among = colours(REAL, FAKE, "fd", "views", "kd", labels=LABELS, classes=("good", "dark"))
    assert among["kd[colour]"] == alone["kd[colour]"]


def test_halves_share_no_picture_and_meet_as_many_fakes_or_half_of_the_fakes() -> None:
    real, fake = View(features=np.zeros((40, 2))), View(features=np.zeros((100, 2)))
    made = list(halvings(real, fake, 10, np.random.default_rng(0)))
    assert len(made) == HALVINGS
    for one in made:
        assert sorted([*one.one, *one.other]) == list(range(40))
        assert (len(set(one.equal)), len(set(one.half))) == (20, 50)


@pytest.mark.parametrize(("patients", "degrees"), [(None, 9), (40, 9), (4, 3), (2, 1)])
def test_the_margin_of_halvings_is_students_with_the_patients_there_are(patients: int | None, degrees: int) -> None:
    groups = None if patients is None else np.arange(40) % patients
    assert degrees_of(View(features=np.zeros((40, 2)), groups=groups)) == degrees
    spread = np.random.default_rng(0).normal(size=HALVINGS)
    expected = t.ppf(0.975, degrees) * spread.std(ddof=1)
    assert Halved(5, degrees, spread=spread.tolist()).margin == pytest.approx(expected, rel=1e-6)


def test_pictures_of_one_patient_are_not_halved_and_the_entry_says_so() -> None:
    one = colours(REAL, FAKE, "fd", "kd", groups={"train": np.zeros(len(REAL), np.int64)})
    for name, reason in (
        ("fd[colour]", "one patient only: no halves to compare"),
        ("kd[colour]", "hardly more than one patient: no interval"),
    ):
        found = one[name]
        assert found["value"] is not None
        assert (found["interval"], found["real_vs_real"], found["reason"]) == (None, None, reason)
        assert "floor" not in found


def test_too_few_pictures_to_be_halved_say_so() -> None:
    entry = colours(pictures(0, 16), pictures(1, 40), "fd")["fd[colour]"]
    assert entry["value"] is not None
    assert entry["reason"] == "no halves to compare, which would have 8 pictures, fewer than 10"


def test_a_metric_that_fails_is_null_and_has_no_classes() -> None:
    entry = colours(REAL, FAKE, "failing", labels=LABELS, classes=("good", "dark"))["failing[colour]"]
    assert entry["value"] is None
    assert "classes" not in entry


def test_where_fakes_are_fewer_than_a_half_all_is_compared_at_their_number() -> None:
    entry = colours(pictures(0, 60), noise(1, 12), "fd")["fd[colour]"]
    assert entry["n_half"] == 12
    real, fake = View(features=np.zeros((60, 2))), View(features=np.zeros((12, 2)))
    for one in halvings(real, fake, 10, np.random.default_rng(0)):
        sizes = [len(set(rows)) for rows in (one.one, one.other, one.equal, one.half_real, one.half)]
        assert sizes == [12, 12, 12, 30, 6]
        assert not set(one.one) & set(one.other)

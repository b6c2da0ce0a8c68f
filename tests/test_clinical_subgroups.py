"""Figures for each value of a column."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfukit import clinical
from dfukit.clinical import Scored


def found(columns: dict[str, list[str]], scored: Scored, threshold: float = 0.5) -> dict[str, Any]:
    def rng(purpose: str) -> np.random.Generator:
        return np.random.default_rng(list(purpose.encode()))

    return clinical.subgroups(columns, {"real": (scored, threshold)}, rng, 200)


def made_up(n: int = 120) -> Scored:
    rng = np.random.default_rng(0)
    labels = rng.random(n) < 0.5
    return Scored.of(labels, np.clip(0.4 * labels + 0.6 * rng.random(n), 0, 1), np.arange(n) // 2)


def test_a_group_has_the_figures_of_its_pictures_alone() -> None:
    scored = made_up()
    site = ["north" if place < 80 else "south" for place in range(120)]
    figures = found({"site": site}, scored, 0.6)["site"]
    assert set(figures) == {"north", "south"}
    south = scored.take(np.arange(80, 120))
    whole = clinical.figures(south.labels, south.score, south.patient, np.random.default_rng(0), 200, 0.6)
    for name in ("auroc", "tpr", "fpr"):
        assert figures["south"]["real"][name]["value"] == whole[name]["value"]
        assert figures["south"]["real"][name]["n"] == whole[name]["n"]
    assert figures["south"]["real"]["tpr"]["interval"] == whole["tpr"]["interval"]
    assert (figures["south"]["real"]["n"], figures["south"]["real"]["patients"]) == (40, 20)
    assert figures["south"]["real"]["threshold"] == 0.6


def test_a_picture_whose_score_is_the_threshold_is_called_positive() -> None:
    scored = made_up()
    lowest = float(scored.score[scored.labels].min())
    figures = found({"site": ["one"] * 120}, scored, lowest)["site"]["one"]["real"]
    assert figures["tpr"]["value"] == 1.0
    assert figures["fpr"]["value"] == (scored.score[~scored.labels] >= lowest).mean()


def test_a_groups_figures_do_not_depend_on_the_other_groups() -> None:
    scored = made_up()
    two = found({"site": ["a"] * 60 + ["b"] * 60, "sex": ["f"] * 120}, scored)
    three = found({"site": ["a"] * 60 + ["b"] * 30 + ["c"] * 30}, scored)
    assert two["site"]["a"] == three["site"]["a"]


def test_few_patients_have_figures_and_a_note() -> None:
    figures = found({"site": ["few"] * 18 + ["many"] * 102}, made_up())["site"]
    assert figures["few"]["real"]["note"] == "fewer than 10 patients"
    assert figures["few"]["real"]["patients"] == 9
    assert figures["few"]["real"]["tpr"]["value"] is not None
    assert "note" not in figures["many"]["real"]


def test_a_group_of_one_class_says_so() -> None:
    scored = made_up()
    figures = found({"class": ["positive" if label else "negative" for label in scored.labels]}, scored)["class"]
    assert figures["positive"]["real"]["auroc"]["reason"] == "these pictures have one class only"
    assert figures["positive"]["real"]["fpr"]["value"] is None
    assert figures["positive"]["real"]["tpr"]["value"] is not None

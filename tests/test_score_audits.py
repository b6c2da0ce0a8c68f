"""Audits, which judge each synthetic picture: what they see, and what scores.json says of what they found."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scoring_parts import Astray, Colour, Said, pictures, scores_of, with_ours

from dfukit.interfaces import Found


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


TRAIN, TEST = pictures(0, 30), pictures(1, 14)
FAKE = np.concatenate([pictures(2, 10), TRAIN[[7, 3]]])
NAMES = {"train": [f"a/{i}.jpg" for i in range(30)], "synthetic": [f"b/{i}.png" for i in range(12)]}


def test_what_an_audit_found_is_named_by_the_names_of_both_pictures() -> None:
    parts = {"train": TRAIN, "test": TEST}
    content = scores_of(parts, FAKE, ["equal"], with_ours(), extractor="colour", names=NAMES)
    assert set(content) == {"equal"}
    entry = content["equal"]
    assert entry["value"] == pytest.approx(2 / 12)
    assert entry["pictures"] == [
        {"path": "b/10.png", "of": "a/7.jpg", "how": "exact", "distance": 0.0},
        {"path": "b/11.png", "of": "a/3.jpg", "how": "exact", "distance": 0.0},
    ]
    assert entry["distances"] == [1.0] * 10 + [0.0] * 2
    assert entry["held_out"] == 14
    assert entry["nothing"] is None
    json.dumps(content, allow_nan=False)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"found": (Found(12, 0, "exact", 0.0),)}, "IndexError: it names the picture 12 of 12"),
        ({"found": (Found(0, -1, "exact", 0.0),)}, "IndexError: it names the picture -1 of 30"),
        ({"distances": np.zeros(3)}, "ValueError: it gives 3 distances for 12 pictures"),
    ],
)
def test_an_audit_that_speaks_of_other_pictures_takes_no_other_score_with_it(
    said: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Astray, "said", said)
    content = scores_of({"train": TRAIN}, FAKE, ["astray", "equal"], with_ours(), extractor="colour", names=NAMES)
    assert content["astray"]["failed"]
    assert content["astray"]["reason"].startswith(f"astray of dfukit-tests 1 failed: {reason}")
    assert content["equal"]["value"] == pytest.approx(2 / 12)


def test_without_names_pictures_go_by_their_number_and_without_a_second_part_there_is_nothing_held_out() -> None:
    entry = scores_of({"train": TRAIN}, FAKE, ["equal"], with_ours(), extractor="colour")["equal"]
    assert [(one["path"], one["of"]) for one in entry["pictures"]] == [("10", "7"), ("11", "3")]
    assert entry["held_out"] == 0


@pytest.mark.parametrize("metrics", [("auditor",), ("auditor", "copies")])
def test_no_metric_but_the_audit_has_the_figure_copies(metrics: tuple[str, ...]) -> None:
    said = Said()
    content = scores_of({"train": TRAIN}, FAKE, metrics, with_ours(), extractor="colour", progress=said)
    assert ("copies" in content) == ("copies" in metrics)
    assert (content["copies of auditor"]["value"], content["copies of auditor"]["failed"]) == (None, True)
    assert content["auditor"]["value"] == 0.0
    (line,) = [line for line in said.lines if "auditor" in line]
    assert line.startswith("metric auditor of dfukit-tests 1 gives the figure copies, which is that of ")


def test_an_audit_sees_all_pictures_where_other_metrics_see_some_and_nothing_is_extracted_twice() -> None:
    Colour.shown = 0
    content = scores_of(
        {"train": TRAIN, "test": TEST}, FAKE, ["kd", "equal"], with_ours(), extractor="colour", pictures=11
    )
    assert content["kd[colour]"]["n"] == content["kd[colour]@test"]["n"] == [11, 11]
    assert content["equal"]["n"] == [30, 12]
    assert Colour.shown == 30 + 14 + 12


def test_an_audit_says_what_it_compares_before_it_does() -> None:
    said = Said()
    scores_of({"train": TRAIN}, FAKE, ["equal"], with_ours(), extractor="colour", progress=said)
    assert said.lines[-1:] == ["equal: comparing 12 synthetic pictures with 30 real ones"]


def test_an_audit_has_no_halves_and_no_classes() -> None:
    labels = {"train": np.arange(30) % 2, "synthetic": np.arange(12) % 2}
    entry = scores_of(
        {"train": TRAIN}, FAKE, ["equal"], with_ours(), extractor="colour", labels=labels, classes=("a", "b")
    )["equal"]
    assert not {"classes", "floor", "at_half", "note"} & set(entry)

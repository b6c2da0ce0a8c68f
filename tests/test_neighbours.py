"""Precision and recall are torch-fidelity's, density and coverage those of Naeem et al.; their intervals cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mobilenet_features import features_of_crops
from torch_fidelity.metric_prc import prc_features_to_metric

from dfukit import registry
from dfukit.interfaces import Metric, Score, View

NAMES = ("precision", "recall", "density", "coverage")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def skewed(rng: np.random.Generator, n: int, shift: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """Features [n, 64] of 16 causes, cut off below 0 as those of a network with ReLU are."""
    mixing = np.random.default_rng(1).normal(size=(16, 64)) / 4
    return np.maximum((rng.normal(0, spread, (n, 16)) + shift) @ mixing + rng.normal(0, 0.1, (n, 64)) + 0.2, 0)


def build(name: str, **settings: int) -> Metric:
    metric: Metric = registry.load().choose("metric", name, settings).build()
    return metric


def measure(name: str, real: np.ndarray, fake: np.ndarray, **settings: int) -> Score:
    return build(name, **settings).measure(View(features=real), View(features=fake), np.random.default_rng(0))[name]


def direct_density_and_coverage(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float]:
    """Equations 4 and 5 of Naeem et al., picture by picture."""
    radius = [np.sort(np.linalg.norm(real - one, axis=1))[k] for one in real]
    inside = [[np.linalg.norm(one - other) < radius[i] for other in fake] for i, one in enumerate(real)]
    return float(np.sum(inside) / (k * len(fake))), float(np.mean(np.any(inside, axis=1)))


def torch_fidelity_precision_and_recall(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float]:
    options = {"prc_neighborhood": k, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
    theirs = prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), **options)
    return theirs["precision"], theirs["recall"]


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [
        (skewed(rng, 60), skewed(rng, 40, shift=0.3)),
        (skewed(rng, 130), skewed(rng, 700, shift=0.6, spread=0.7)),
        (skewed(rng, 600), skewed(rng, 90, spread=2.0)),
        (1000 + skewed(rng, 50), 1000 + skewed(rng, 50)),
    ]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("real", "fake"), pairs())
def test_precision_and_recall_are_torch_fidelitys(real: np.ndarray, fake: np.ndarray, k: int) -> None:
    precision, recall = torch_fidelity_precision_and_recall(real, fake, k)
    assert measure("precision", real, fake, k=k).value == pytest.approx(precision, rel=1e-6)
    assert measure("recall", real, fake, k=k).value == pytest.approx(recall, rel=1e-6)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("real", "fake"), pairs())
def test_density_and_coverage_are_those_of_a_direct_computation(real: np.ndarray, fake: np.ndarray, k: int) -> None:
    density, coverage = direct_density_and_coverage(real, fake, k)
    assert measure("density", real, fake, k=k).value == pytest.approx(density, rel=1e-6)
    assert measure("coverage", real, fake, k=k).value == pytest.approx(coverage, rel=1e-6)


def test_all_four_are_right_on_features_of_real_pictures(shared: Path) -> None:
    real, fake = features_of_crops(shared)
    precision, recall = torch_fidelity_precision_and_recall(real, fake, 3)
    density, coverage = direct_density_and_coverage(real, fake, 5)
    for name, expected in zip(NAMES, (precision, recall, density, coverage), strict=True):
        assert measure(name, real, fake).value == pytest.approx(expected, rel=1e-6)


def test_what_each_of_them_tells(rng: np.random.Generator) -> None:
    real = skewed(rng, 200)
    narrow, wide = skewed(rng, 200, spread=0.5), skewed(rng, 200, spread=3.0)
    values = {
        (name, which): measure(name, real, fake).value or 0.0
        for name in NAMES
        for which, fake in {"alike": skewed(rng, 200), "narrow": narrow, "wide": wide}.items()
    }
    assert values["precision", "narrow"] > values["precision", "alike"] > values["precision", "wide"]
    assert values["recall", "wide"] > values["recall", "alike"] > values["recall", "narrow"]
    assert values["density", "narrow"] > 2 > values["density", "alike"] > values["density", "wide"]
    assert values["density", "alike"] == pytest.approx(1, abs=0.2)
    assert values["coverage", "alike"] > 0.9 > values["coverage", "wide"]


def test_copies_of_the_real_pictures_are_precise_and_cover_everything(rng: np.random.Generator) -> None:
    real = skewed(rng, 80)
    assert [measure(name, real, real).value for name in ("precision", "recall", "coverage")] == [1, 1, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_set_of_no_more_than_k_pictures_is_a_reason_not_a_number(name: str, rng: np.random.Generator) -> None:
    score = measure(name, skewed(rng, 20), skewed(rng, 7), k=7)
    assert score.value is None
    assert score.reason == f"{name} with k = 7 needs at least 8 pictures in each set"
    assert measure(name, skewed(rng, 20), skewed(rng, 8), k=7).value is not None


@pytest.mark.parametrize("name", ["precision", "recall", "coverage"])
def test_a_share_of_everything_is_still_uncertain(name: str, rng: np.random.Generator) -> None:
    real = skewed(rng, 40)
    interval = measure(name, real, real).interval
    assert interval is not None
    # Wilson's lower end of 40 in 40: n / (n + z²).
    assert interval == pytest.approx((40 / (40 + 1.959964**2), 1.0))


def test_patients_count_once_in_the_certainty_of_what_is_covered(rng: np.random.Generator) -> None:
    real = skewed(rng, 40)
    view = View(features=real, groups=np.arange(40) // 4)
    interval = build("coverage").measure(view, View(features=real), rng)["coverage"].interval
    assert interval is not None
    assert interval[0] == pytest.approx(10 / (10 + 1.959964**2))

"""Fréchet and kernel distances and the Inception Score are torch-fidelity's; their intervals cover what they claim."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from mobilenet_features import example_extractor, features_of_crops, outputs_of_crops
from PIL import Image
from scipy.stats import t
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from dfukit.interfaces import View
from dfukit_fidelity import InceptionScoreSettings, KernelDistanceSettings
from dfukit_fidelity.frechet import frechet_distance
from dfukit_fidelity.inception_score import InceptionScore, inception_scores
from dfukit_fidelity.kernel import KernelDistance, jackknife, kernel_distance, subset_distances


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def correlated(rng: np.random.Generator, n: int, d: int, shift: float) -> np.ndarray:
    """Features [n, d] with correlated, skewed columns, as those of a network with ReLU are."""
    mixing = np.random.default_rng(1).normal(size=(d, d)) / np.sqrt(d)
    return np.maximum(rng.normal(shift, 1.0, (n, d)) @ mixing + 0.2, 0)


def unique(values: np.ndarray) -> np.ndarray:
    return np.arange(len(values))


def torch_fidelity_fid(real: np.ndarray, fake: np.ndarray) -> float:
    statistics = [fid_features_to_statistics(torch.from_numpy(features)) for features in (real, fake)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def torch_fidelity_kid(real: np.ndarray, fake: np.ndarray, subsets: int, size: int) -> dict[str, float]:
    settings = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    return kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(fake), **settings)


@pytest.mark.parametrize(
    ("n", "m", "d"),
    [(60, 40, 128), (60, 300, 128), (300, 260, 64), (65, 64, 64), pytest.param(200, 150, 2048, marks=pytest.mark.slow)],
)
def test_the_frechet_distance_is_torch_fidelitys(rng: np.random.Generator, n: int, m: int, d: int) -> None:
    real, fake = correlated(rng, n, d, 0.0), correlated(rng, m, d, 0.3)
    assert frechet_distance(real, fake) == pytest.approx(torch_fidelity_fid(real, fake), rel=1e-6)


def test_the_frechet_distance_of_a_set_to_itself_is_nothing(rng: np.random.Generator) -> None:
    features = correlated(rng, 50, 128, 0.0)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_over_subsets_is_torch_fidelitys(rng: np.random.Generator) -> None:
    real, fake = correlated(rng, 150, 64, 0.0), correlated(rng, 130, 64, 0.3)
    theirs = torch_fidelity_kid(real, fake, subsets=20, size=100)
    ours = subset_distances(real, fake, subsets=20, size=100)
    assert ours.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def test_the_kernel_distance_of_whole_sets_is_torch_fidelitys_on_one_subset_of_all(rng: np.random.Generator) -> None:
    real, fake = correlated(rng, 600, 64, 0.0), correlated(rng, 600, 64, 0.3)
    theirs = torch_fidelity_kid(real, fake, subsets=1, size=600)
    assert kernel_distance(real, fake) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)


def test_the_jackknife_leaves_out_one_patient_of_either_set_at_a_time(rng: np.random.Generator) -> None:
    real, fake = correlated(rng, 25, 16, 0.0), correlated(rng, 20, 16, 0.3)
    groups = np.repeat([3, 5, 11, 12, 20], 5)
    found = jackknife(real, fake, groups, unique(fake))
    assert found is not None
    without_real = np.array([kernel_distance(real[groups != group], fake) for group in np.unique(groups)])
    without_fake = np.array([kernel_distance(real, np.delete(fake, i, axis=0)) for i in range(20)])
    of_real = 4 / 5 * ((without_real - without_real.mean()) ** 2).sum()
    of_fake = 19 / 20 * ((without_fake - without_fake.mean()) ** 2).sum()
    assert found.value == pytest.approx(kernel_distance(real, fake))
    assert found.error == pytest.approx(np.sqrt(of_real + of_fake))
    assert found.degrees == pytest.approx((of_real + of_fake) ** 2 / (of_real**2 / 4 + of_fake**2 / 19))
    low, high = found.interval(1.0)
    assert (low, high) == pytest.approx((1 - t.ppf(0.975, found.degrees) * found.error, 2 - low))


@pytest.mark.parametrize("groups", [np.zeros(25, int), np.arange(25) == 0])
def test_of_hardly_more_than_one_patient_a_kernel_distance_has_no_interval(
    rng: np.random.Generator, groups: np.ndarray
) -> None:
    real, fake = correlated(rng, 25, 16, 0.0), correlated(rng, 20, 16, 0.3)
    metric = KernelDistance(KernelDistanceSettings())
    for views in (
        (View(features=real, groups=groups), View(features=fake)),
        (View(features=fake), View(features=real, groups=groups)),
    ):
        score = metric.measure(*views, rng)["kd"]
        assert score.value == pytest.approx(kernel_distance(*(view.features for view in views)))
        assert (score.interval, score.reason) == (None, "hardly more than one patient: no interval")


def skewed(rng: np.random.Generator, n: int, shift: float, patients: bool = False) -> np.ndarray:
    """Features [n, 64] of 16 causes, cut off below 0 as those of a network with ReLU are.

    With patients, five pictures in a row share half the variance of the causes.
    """
    causes = rng.normal(size=(n, 16))
    if patients:
        causes = np.sqrt(0.5) * (causes + np.repeat(rng.normal(size=(n // 5, 16)), 5, axis=0))
    mixing = np.random.default_rng(1).normal(size=(16, 64)) / 4
    return np.maximum((causes + shift) @ mixing + rng.normal(0, 0.1, (n, 64)) + 0.2, 0)


@pytest.mark.parametrize("n", [60, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("patients", [False, True])
@pytest.mark.parametrize("shift", [0.2, 0.6])
def test_the_kernel_interval_covers_its_target_in_90_to_98_percent_of_1000(
    shift: float, patients: bool, n: int
) -> None:
    rng = np.random.default_rng(n)
    target = np.mean([kernel_distance(skewed(rng, 2000, 0), skewed(rng, 2000, shift)) for _ in range(4)])
    metric, groups, hits = KernelDistance(KernelDistanceSettings()), np.arange(n) // 5 if patients else None, 0
    for _ in range(1000):
        real = View(features=skewed(rng, n, 0, patients), groups=groups)
        interval = metric.measure(real, View(features=skewed(rng, n, shift)), rng)["kd"].interval
        assert interval is not None
        hits += interval[0] <= target <= interval[1]
    assert 0.90 <= hits / 1000 <= 0.98


def test_kernel_subsets_larger_than_a_set_are_a_reason_not_a_number(rng: np.random.Generator) -> None:
    metric = KernelDistance(evolve(KernelDistanceSettings(), estimate="subsets", subset_size=100))
    view = View(features=rng.normal(size=(50, 8)))
    score = metric.measure(view, view, rng)["kd"]
    assert score.value is None
    assert score.reason is not None
    assert "metric.kd.subset_size" in score.reason


@pytest.mark.parametrize("n", [200, 203])
def test_the_inception_score_is_torch_fidelitys(rng: np.random.Generator, n: int) -> None:
    logits = rng.normal(0, 3, (n, 40))
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=True, rng_seed=2020)
    ours = inception_scores(logits, 10)
    assert ours.mean() == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours.std() == pytest.approx(theirs["inception_score_std"], rel=1e-6)


def test_the_inception_score_stays_finite_where_a_class_is_impossible() -> None:
    logits = np.full((40, 3), -2000.0)
    logits[:, 0] = 0.0
    assert inception_scores(logits, 2) == pytest.approx([1.0, 1.0])


def test_the_inception_score_stands_beside_that_of_the_real_set(rng: np.random.Generator) -> None:
    metric = InceptionScore(InceptionScoreSettings())
    real, fake = View(logits=rng.normal(0, 5, (100, 10))), View(logits=rng.normal(0, 1, (100, 10)))
    score = metric.measure(real, fake, rng)["inception_score"]
    assert score.real_vs_real is not None
    assert score.value is not None
    assert score.real_vs_real > score.value > 1
    assert metric.measure(real, fake.take(range(15)), rng)["inception_score"].value is None


def test_the_interval_of_the_inception_score_is_students_over_its_splits(rng: np.random.Generator) -> None:
    view = View(logits=rng.normal(size=(100, 8)))
    score = InceptionScore(InceptionScoreSettings(splits=5)).measure(view, view, rng)["inception_score"]
    each = inception_scores(view.logits, 5)
    half = t.ppf(0.975, 5 - 1) * each.std(ddof=1) / np.sqrt(5)
    assert score.interval == pytest.approx((each.mean() - half, each.mean() + half))


def test_the_interval_of_the_inception_score_covers_its_mean_in_about_95_percent(rng: np.random.Generator) -> None:
    metric, real = InceptionScore(InceptionScoreSettings()), View(logits=rng.normal(size=(100, 20)))
    scores = [
        metric.measure(real, View(logits=rng.normal(0, 2, (100, 20))), rng)["inception_score"] for _ in range(1000)
    ]
    mean = np.mean([score.value for score in scores if score.value is not None])
    hits = sum(score.interval is not None and score.interval[0] <= mean <= score.interval[1] for score in scores)
    assert 0.93 <= hits / 1000 <= 0.97


def test_distances_and_scores_are_torch_fidelitys_on_features_of_real_pictures(shared: Path) -> None:
    real, fake = features_of_crops(shared)
    _, logits = outputs_of_crops(shared)
    kid = torch_fidelity_kid(real, fake, subsets=1, size=len(real))["kernel_inception_distance_mean"]
    subsets = torch_fidelity_kid(real, fake, subsets=10, size=20)["kernel_inception_distance_mean"]
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=3, shuffle=True, rng_seed=2020)
    assert frechet_distance(real, fake) == pytest.approx(torch_fidelity_fid(real, fake), rel=1e-6)
    assert kernel_distance(real, fake) == pytest.approx(kid, rel=1e-6)
    assert subset_distances(real, fake, subsets=10, size=20).mean() == pytest.approx(subsets, rel=1e-6)
    assert inception_scores(logits, 3).mean() == pytest.approx(theirs["inception_score_mean"], rel=1e-6)


@pytest.mark.slow
def test_distances_on_real_pictures_are_those_of_the_shared_yardstick(shared: Path, tmp_path: Path) -> None:
    tool, file = shared / "tools" / "kernel_distance.py", shared / "weights" / "mobilenet_v1_075_imagenet.safetensors"
    crops = sorted((shared / "data" / "roi").glob("*.jpg"))[:32]
    if not tool.is_file() or not file.is_file() or len(crops) < 32:
        pytest.skip("no yardstick, weights or crops in ../shared")
    extractor, features = example_extractor(file), []
    for part in ("first", "second"):
        (tmp_path / part).mkdir()
    for i, crop in enumerate(crops):
        picture = Image.open(crop).convert("RGB").resize((128, 128), Image.Resampling.BICUBIC)
        picture.save(tmp_path / ("first" if i < 16 else "second") / f"{i}.png")
        pixels = np.asarray(picture.resize((224, 224), Image.Resampling.BICUBIC))
        images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            features.append(extractor.features(images).double().numpy()[0])
    first, second = np.stack(features[:16]), np.stack(features[16:])
    command = [sys.executable, str(tool), str(file), str(tmp_path / "first"), str(tmp_path / "second")]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread).stdout
    found = re.search(r"FD=(\S+) KD=(\S+)", printed)
    assert found is not None
    assert frechet_distance(first, second) == pytest.approx(float(found[1]), rel=1e-4)
    assert kernel_distance(first, second) == pytest.approx(float(found[2]), abs=6e-5)

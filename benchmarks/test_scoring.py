"""Features and Fréchet distances against torch-fidelity's, paired, and scores from the cache.

`pytest benchmarks/test_scoring.py -s`
"""

from __future__ import annotations

import os
import statistics
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from paired import compare, seconds
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture
from safetensors.torch import save_file
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from dfukit.pretrained import KNOWN
from dfukit.scoring import score_folders
from dfukit_fidelity.frechet import frechet_distance
from dfukit_fidelity.inception import read_network
from dfukit_fidelity.inception_network import InceptionNetwork

PICTURES, SIZE = 32, 128
N, D = 1000, 2048
METRICS = ("kd", "fd", "psnr", "ssim")
AGAIN = 3.0
"""Seconds that scoring N against N pictures may take where nothing has changed since the last time."""


def smooth_pictures(n: int, seed: int) -> torch.Tensor:
    """uint8 [n, 3, SIZE, SIZE]."""
    rng = torch.Generator().manual_seed(seed)
    small = torch.rand(n, 3, 8, 8, generator=rng) * 255
    return torch.nn.functional.interpolate(small, (SIZE, SIZE), mode="bicubic").clamp(0, 255).byte()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same random weights for dfukit and for torch-fidelity, their batch norms fitted to pictures."""
    folder = tmp_path_factory.mktemp("inception")
    torch.manual_seed(0)
    network = InceptionNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(smooth_pictures(16, seed=1).float())
    save_file(network.state_dict(), folder / "inception.safetensors")
    torch.save(network.state_dict(), folder / "inception.pth")
    return folder / "inception.safetensors", folder / "inception.pth"


def test_inception_features_in_float32(benchmark: BenchmarkFixture, rounds: int, weights: tuple[Path, Path]) -> None:
    ours, _ = read_network(weights[0])
    ours.requires_grad_(False).to(memory_format=torch.channels_last)
    theirs = FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights[1])
    )
    pictures = smooth_pictures(PICTURES, seed=0)
    with torch.inference_mode():
        expected = theirs(pictures)[0]
        difference = float((ours(pictures.float())[0] - expected).abs().max())
        largest = float(expected.max())
        compare(
            benchmark,
            rounds,
            f"features (mean {expected.mean():.2f}, largest {largest:.2f}, off by {difference:.1e}) of {PICTURES}",
            {
                "torch-fidelity": seconds(lambda: theirs(pictures)),
                "dfukit": seconds(lambda: ours(pictures.float())),
            },
        )
    assert difference < 1e-4


def test_the_frechet_solve(benchmark: BenchmarkFixture, rounds: int) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(D, D)) / np.sqrt(D)
    real, fake = (np.maximum(rng.normal(shift, 1.0, (N, D)) @ mixing + 0.2, 0) for shift in (0.0, 0.3))
    # Their solve alone is timed, without the covariances that it starts from; ours with everything.
    statistics_of = [fid_features_to_statistics(torch.from_numpy(features)) for features in (real, fake)]
    expected = fid_statistics_to_metric(*statistics_of, verbose=False)["frechet_inception_distance"]
    difference = abs(frechet_distance(real, fake) / expected - 1)
    compare(
        benchmark,
        rounds,
        f"Fréchet solve, n = {N}, d = {D}; relative difference {difference:.1e}",
        {
            "torch-fidelity": seconds(lambda: fid_statistics_to_metric(*statistics_of, verbose=False)),
            "dfukit": seconds(lambda: frechet_distance(real, fake)),
        },
    )
    assert difference < 1e-6


def test_scoring_the_same_folders_again(
    benchmark: BenchmarkFixture, rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    for seed, name in enumerate(("real", "fake")):
        for i, picture in enumerate(smooth_pictures(N, seed)):
            file = tmp_path / name / ("ulcer" if i % 2 else "skin") / f"{i:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file)

    def score() -> object:
        return score_folders(
            tmp_path / "real",
            tmp_path / "fake",
            metrics=METRICS,
            extractor="r64",
            extractor_settings={"r64": {"size": 64}},
            device="cpu",
        )

    once = seconds(score)()
    again = [seconds(score)() for _ in range(rounds)]
    benchmark.pedantic(score, rounds=1)
    median = statistics.median(again)
    print(f"\n{', '.join(METRICS)} of {N} against {N} pictures: {once:.1f} s, again {median:.2f} s (of {rounds})")
    print(f"  again is {once / median:.0f} times as fast")
    assert median < AGAIN


class Bare(Dataset[torch.Tensor]):
    """Pictures as torch-fidelity asks for them: tensors, not tuples of one."""

    def __init__(self, pictures: torch.Tensor) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._pictures[index]


@pytest.mark.parametrize("pictures", [60])
def test_scoring_for_the_first_time(
    benchmark: BenchmarkFixture,
    rounds: int,
    pictures: int,
    weights: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In memory, so that both see the same pixels: from files dfukit brings them to a width of its own.
    sets = [smooth_pictures(pictures, seed) for seed in (0, 1)]
    arrays = [some.permute(0, 2, 3, 1).contiguous().numpy() for some in sets]
    numbers, found = count(), {}

    def ours() -> None:
        # Nothing but the weights is there already.
        home = tmp_path / f"cache-{next(numbers)}"
        (home / "weights").mkdir(parents=True)
        os.link(weights[0], home / "weights" / f"inception-{KNOWN[0].sha256[:8]}.safetensors")
        monkeypatch.setenv("DFUKIT_CACHE_DIR", str(home))
        scores = score_folders(*arrays, metrics=["inception_score", "fid"], device="cpu")
        found["ours"] = [scores[name]["value"] for name in ("inception_score", "fid")]

    def theirs() -> None:
        # Of the kernel distance they take a hundred subsets where we look once: left out.
        scores = calculate_metrics(
            input1=Bare(sets[1]),
            input2=Bare(sets[0]),
            isc=True,
            fid=True,
            feature_extractor_weights_path=str(weights[1]),
            cuda=False,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )
        found["theirs"] = [scores[name] for name in ("inception_score_mean", "frechet_inception_distance")]

    ratios = compare(
        benchmark,
        rounds,
        f"inception_score and fid of {pictures} against {pictures} pictures, the first time",
        {"torch-fidelity": seconds(theirs), "dfukit": seconds(ours)},
        warm_up=0,
    )
    assert found["ours"] == pytest.approx(found["theirs"], rel=1e-4)
    assert ratios["dfukit"] >= 1

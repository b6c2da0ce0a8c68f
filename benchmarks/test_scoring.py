"""Features and Fréchet distances against torch-fidelity's, paired: `pytest benchmarks/test_scoring.py -s`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from safetensors.torch import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from dfukit_fidelity.frechet import frechet_distance
from dfukit_fidelity.inception import read_network
from dfukit_fidelity.inception_network import InceptionNetwork

ROUNDS = 5
PICTURES, SIZE = 32, 128
N, D = 1000, 2048


def paired(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, list[float]]:
    """Median seconds of ours, and how many times as long theirs took just after, of each round."""
    ours()
    seconds, ratios = [], []
    for _ in range(ROUNDS):
        times = []
        for call in (ours, theirs):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        seconds.append(times[0])
        ratios.append(times[1] / times[0])
    return statistics.median(seconds), ratios


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


def test_inception_features_in_float32(benchmark: BenchmarkFixture, weights: tuple[Path, Path]) -> None:
    ours, _ = read_network(weights[0])
    ours.requires_grad_(False).to(memory_format=torch.channels_last)
    theirs = FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights[1])
    )
    pictures = smooth_pictures(PICTURES, seed=0)
    with torch.inference_mode():
        expected = theirs(pictures)[0]
        difference = float((ours(pictures.float())[0] - expected).abs().max())
        seconds, ratios = paired(lambda: ours(pictures.float()), lambda: theirs(pictures))
        benchmark.pedantic(ours, (pictures.float(),), rounds=1)
    print(
        f"\nfeatures: {PICTURES / seconds:.1f} pictures/s, {statistics.median(ratios):.2f}x torch-fidelity "
        f"({min(ratios):.2f} to {max(ratios):.2f}); largest difference {difference:.1e}, mean {expected.mean():.2f}"
    )
    assert difference < 1e-4


def test_the_frechet_solve(benchmark: BenchmarkFixture) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(D, D)) / np.sqrt(D)
    real, fake = (np.maximum(rng.normal(shift, 1.0, (N, D)) @ mixing + 0.2, 0) for shift in (0.0, 0.3))
    # Their solve alone is timed, without the covariances that it starts from; ours with everything.
    statistics_of = [fid_features_to_statistics(torch.from_numpy(features)) for features in (real, fake)]
    expected = fid_statistics_to_metric(*statistics_of, verbose=False)["frechet_inception_distance"]
    difference = abs(frechet_distance(real, fake) / expected - 1)
    seconds, ratios = paired(
        lambda: frechet_distance(real, fake), lambda: fid_statistics_to_metric(*statistics_of, verbose=False)
    )
    benchmark.pedantic(frechet_distance, (real, fake), rounds=1)
    print(
        f"\nFréchet solve, n = {N}, d = {D}: {seconds:.2f} s, {statistics.median(ratios):.1f}x torch-fidelity "
        f"({min(ratios):.1f} to {max(ratios):.1f}); relative difference {difference:.1e}"
    )
    assert difference < 1e-6

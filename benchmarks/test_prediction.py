"""Prediction with `effv2s_lstm` against its bare timm backbone at the same input size and precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from paired import compare, seconds
from pytest_benchmark.fixture import BenchmarkFixture

from dfukit import ImageSpec, device, likeness, load_classifier, registry, weights
from dfukit.sections import RunSettings
from dfukit.weights import Description

SIZE = 128
TIMES = {1: 20, 32: 3}
"""Predictions in a turn, by batch."""


@pytest.mark.benchmark(group="prediction")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("n", list(TIMES))
def test_prediction(benchmark: BenchmarkFixture, rounds: int, tmp_path: Path, n: int, precision: str) -> None:
    compute = device.choose(RunSettings(precision=precision))
    image = ImageSpec(SIZE, 3, ("infected", "non_infected"), "infected")
    chosen = registry.load().choose("classifier", "effv2s_lstm", {"pretrained": "false"})
    facts = {"fit": "crop", "positive": "infected", "temperature": 1.0}
    network = chosen.build(image)
    rng = np.random.default_rng(0)
    # Predictions look for pictures unlike the training set, too; which ones it learnt from is no matter of time.
    known, others = (rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8) for count in (24, 12))
    like = likeness.fit(network, known, others, compute)
    assert like is not None
    described = Description(chosen, image, facts=facts)
    weights.write(tmp_path / "classifier.safetensors", network, described, like.as_tensors())
    classifier = load_classifier(tmp_path / "classifier.safetensors", compute)
    backbone = timm.create_model("tf_efficientnetv2_s.in21k_ft_in1k", pretrained=False, num_classes=1)
    backbone = backbone.to(compute.device).eval()
    pixels = rng.integers(0, 256, (n, 256, 256, 3), np.uint8)
    tensor = torch.rand(n, 3, SIZE, SIZE, device=compute.device)

    def bare() -> None:
        with torch.inference_mode(), compute.autocast():
            backbone(tensor).float().cpu()

    compare(
        benchmark,
        rounds,
        f"prediction of {n}, {compute}, {TIMES[n]} times",
        {
            "bare timm backbone": seconds(bare, TIMES[n]),
            "dfukit effv2s_lstm": seconds(lambda: classifier.scores(pixels), TIMES[n]),
        },
    )

"""Steps of whole trainings on the GPU, or on what there is: python benchmarks/gan_step.py [fp32|bf16]

Milliseconds of a step, critic steps, generator step, optimisers and average, at 128x128 on random pictures: the mean of
16 after 8. On a GPU once sent kernel by kernel, and once replayed as CUDA graphs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfukit import config, device, gan, registry
from dfukit.component import ImageSpec
from dfukit.device import Compute
from dfukit.gan import GanPictures
from dfukit.progress import Silent
from dfukit.rundir import RunDir

IMAGE = ImageSpec(128, 3, ("a", "b"), "a")
WARM_UP, STEPS = 8, 16
PAPER = {"generator.name": "fastgan", "generator.width": 64, "critic.width": 512}
FASTGAN = {"generator.name": "fastgan"}
NARROW = {"generator.name": "fastgan", "generator.width": 16, "critic.width": 128}
LSTM = {"generator.name": "lstm_wgan"}
TRAININGS: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("fastgan, width of the paper", "standard", 8, PAPER),
    ("fastgan, width of the paper", "standard", 32, PAPER),
    ("fastgan", "standard", 8, FASTGAN),
    ("fastgan", "standard", 32, FASTGAN),
    ("fastgan, half as wide", "standard", 8, NARROW),
    ("fastgan, half as wide", "standard", 32, NARROW),
    ("lstm_wgan, standard", "standard", 32, LSTM),
    ("lstm_wgan, standard, 64 cells", "standard", 32, {**LSTM, "generator.unroll": "cells"}),
    ("lstm_wgan, standard, no LSTM", "standard", 32, {**LSTM, "generator.unroll": "none"}),
    ("lstm_wgan, standard, no LSTM, r3gan", "standard", 32, {**LSTM, "generator.unroll": "none", "loss.name": "r3gan"}),
    ("lstm_wgan, reference", "reference", 64, LSTM),
)


class Clock(Silent):
    """Notes the time after the steps between which is measured."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.times: list[float] = []

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        if task == "GAN steps" and done in (WARM_UP, WARM_UP + STEPS):
            if self.compute.device.type == "cuda":
                torch.cuda.synchronize(self.compute.device)
            self.times.append(time.perf_counter())


def main(precision: str = "auto") -> None:
    on_gpu = torch.cuda.is_available()
    for name, preset, batch, settings in TRAININGS:
        times = [
            seconds(preset, batch, {**settings, "run.precision": precision}, way) for way in (False, True)[: 1 + on_gpu]
        ]
        shown = " -> ".join(f"{1000 * taken:7.1f} ms ({batch / taken:5.0f} pictures/s)" for taken in times)
        ratio = f", {times[0] / times[1]:.1f} times as fast" if on_gpu else ""
        print(f"{name:36} {batch:3}  {shown}{ratio}", flush=True)


def seconds(preset: str, batch: int, settings: dict[str, Any], graphs: bool) -> float:
    """The mean of a step."""
    told = {
        "gan.steps": WARM_UP + STEPS,
        "gan.evaluate_every": WARM_UP + STEPS,
        "gan.evaluate_pictures": 64,
        "gan.batch_size": batch,
        "run.graphs": graphs,
        **settings,
    }
    made = config.resolve(registry.load(), preset=preset, settings=told)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (256, IMAGE.size, IMAGE.size, 3), np.uint8)
    labels = np.arange(len(pixels)) % 2
    compute = device.choose(made.run)
    clock = Clock(compute)
    with tempfile.TemporaryDirectory() as folder:
        gan.train(
            made, IMAGE, GanPictures(pixels, labels, pixels, labels), compute, RunDir(Path(folder)), {}, None, clock
        )
    return (clock.times[1] - clock.times[0]) / STEPS


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The training step of `lstm_wgan` with `wgan_gp` at 128x128 against the loop that a user would write today."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from critic_step import IMAGE, SIZE, CriticStep, build, plain
from paired import compare, seconds
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture
from reference_loop import ReferenceLoop

from dfukit import config, device, gan, registry
from dfukit.config import RunConfig
from dfukit.gan import GanPictures
from dfukit.progress import Silent
from dfukit.rundir import RunDir

PICTURES = 320
PHOTOGRAPH = (640, 480)
"""As the files of the DFU challenges have it; photographs from a camera are 40 times as large and slower to decode."""


def photographs(root: Path) -> None:
    """JPEG files whose detail is roughly that of skin."""
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        folder = root / IMAGE.classes[number % 2]
        folder.mkdir(exist_ok=True)
        small = Image.fromarray(rng.integers(60, 220, (12, 16, 3), np.uint8)).resize(
            PHOTOGRAPH, Image.Resampling.BICUBIC
        )
        noisy = np.asarray(small, np.int16) + rng.integers(-6, 7, (PHOTOGRAPH[1], PHOTOGRAPH[0], 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04d}.jpg", quality=90)


def settings(precision: str, batch: int) -> RunConfig:
    values = {
        "run.precision": precision,
        "gan.batch_size": batch,
        "gan.steps": 1,
        "gan.evaluate_every": 1_000_000,
        "gan.evaluate_pictures": 64,
        "gan.patience": 0,
        "gan.flips": True,
    }
    return config.resolve(registry.load(), preset="reference", settings=values)


def training(made: RunConfig, folder: Path) -> Callable[[], float]:
    """A contestant: a training of one step; its seconds as the log has them, which leave the evaluation out."""
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, SIZE, SIZE, 3), np.uint8)
    labels = np.arange(PICTURES) % 2
    pictures = GanPictures(pixels, labels, pixels[:10], labels[:10])

    def run() -> float:
        path = Path(tempfile.mkdtemp(dir=folder))
        gan.train(made, IMAGE, pictures, device.choose(made.run), RunDir(path), {}, None, Silent())
        events = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        shutil.rmtree(path)
        rate = next(event["pictures_per_second"] for event in events if "pictures_per_second" in event)
        return made.gan.batch_size / float(rate)

    return run


def without_files(loop: ReferenceLoop) -> Callable[[], float]:
    """A contestant: the reference loop fed from memory, to show what its networks alone cost."""
    batch = next(loop.batches)

    def run() -> float:
        files, loop.batches = loop.batches, repeat(batch)
        try:
            return loop.step()
        finally:
            loop.batches = files

    return run


@pytest.mark.benchmark(group="training step")
def test_the_training_step(benchmark: BenchmarkFixture, rounds: int, batch: int, tmp_path: Path) -> None:
    made = {precision: settings(precision, batch) for precision in ("fp32", "bf16")}
    where = device.choose(made["fp32"].run).device.type
    (tmp_path / "photographs").mkdir()
    photographs(tmp_path / "photographs")

    def reference(workers: int) -> ReferenceLoop:
        torch.manual_seed(0)
        generator, critic = made["fp32"].generator.build(IMAGE), plain(made["fp32"].critic.build(IMAGE))
        return ReferenceLoop(generator, critic, tmp_path / "photographs", SIZE, batch, workers, where)

    # As many workers as a user would find to be faster here.
    loops = {workers: reference(workers) for workers in (0, 2)}
    for loop in loops.values():
        loop.step()
    trial = {workers: loop.step() for workers, loop in loops.items()}
    loop = loops[min(trial, key=lambda workers: trial[workers])]
    loop_seconds = {workers: round(value, 2) for workers, value in trial.items()}
    print(f"\nreference loop, seconds by workers of its DataLoader: {loop_seconds}")
    compare(
        benchmark,
        rounds,
        f"training step, {SIZE}x{SIZE}, batch {batch}, 5 critic steps, {torch.get_num_threads()} threads, {where}",
        {
            "reference loop": loop.step,
            "the same, decoding left out": without_files(loop),
            "dfukit fp32": training(made["fp32"], tmp_path),
            "dfukit bf16": training(made["bf16"], tmp_path),
        },
        warm_up=0,  # the first round is one of five, and minutes long on a CPU
    )


@pytest.mark.benchmark(group="training step")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_critics_layers(benchmark: BenchmarkFixture, rounds: int, batch: int, precision: str) -> None:
    compute = device.choose(settings(precision, batch).run)
    compare(
        benchmark,
        rounds,
        f"critic step, batch {batch}, {compute}",
        {
            "torch's own layers": seconds(CriticStep(plain(build("critic", "conv")), compute, batch)),
            "the layers of conv": seconds(CriticStep(build("critic", "conv"), compute, batch)),
        },
    )

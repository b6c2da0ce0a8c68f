"""A training step of each generator with what it suggests, as `--dry-run` measures it: batch 8, 128x128."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from critic_step import IMAGE, SIZE
from paired import compare
from pytest_benchmark.fixture import BenchmarkFixture

from dfukit import config, device, plan, registry


def step(preset: str, generator: str, precision: str) -> Callable[[], float]:
    """A contestant: critic steps and generator step, with all that training does in one."""
    made = config.resolve(
        registry.load(),
        preset=preset,
        settings={"generator.name": generator, "run.precision": precision},
    )

    def run() -> float:
        return plan.gan_step(made, IMAGE, device.choose(made.run), plan.SMALL_BATCH)

    return run


@pytest.mark.benchmark(group="generators")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_of_each_generator(benchmark: BenchmarkFixture, rounds: int, precision: str) -> None:
    compare(
        benchmark,
        rounds,
        f"step of lstm_wgan (reference, 5 critic steps), {SIZE}x{SIZE}, {plan.SMALL_BATCH} pictures, {precision}, "
        f"{torch.get_num_threads()} threads",
        {
            "lstm_wgan, reference": step("reference", "lstm_wgan", precision),
            "lstm_wgan, standard": step("standard", "lstm_wgan", precision),
            "fastgan": step("standard", "fastgan", precision),
        },
        warm_up=0,
    )

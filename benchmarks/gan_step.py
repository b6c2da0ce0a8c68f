"""Steps of whole GANs on the GPU, or on what there is: python benchmarks/gan_step.py [fp32|bf16]

Milliseconds of a step, critic steps and generator step, at 128x128 without optimisers, the mean of 12 after 4; for the
first, how much of that the device computes, and how many kernels it is sent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from dfukit import config, device, plan, registry
from dfukit.component import ImageSpec
from dfukit.device import Compute
from dfukit.sections import RunSettings

IMAGE = ImageSpec(128, 3, ("a", "b"), "a")
WARM_UP, STEPS = 4, 12
TRAININGS = (
    ("fastgan, batch 8", "standard", 8, {"generator.name": "fastgan"}),
    ("fastgan, batch 32", "standard", 32, {"generator.name": "fastgan"}),
    ("lstm_wgan, standard, batch 32", "standard", 32, {}),
    ("lstm_wgan, standard, 64 cells, batch 32", "standard", 32, {"generator.unroll": "cells"}),
    ("lstm_wgan, standard, no LSTM, batch 32", "standard", 32, {"generator.unroll": "none"}),
    ("lstm_wgan, standard with r3gan, batch 32", "standard", 32, {"loss.name": "r3gan"}),
    ("lstm_wgan, reference, batch 64", "reference", 64, {}),
)


def main(precision: str = "auto") -> None:
    compute = device.choose(RunSettings(precision=precision))
    print(f"on {compute}")
    for place, (name, preset, batch, settings) in enumerate(TRAININGS):
        made = config.resolve(registry.load(), preset=preset, settings={"generator.name": "lstm_wgan", **settings})
        one = plan.gan_turn(made, IMAGE, made.critic.build(IMAGE), compute, batch)
        taken = seconds(one, compute)
        print(f"{name:42} {1000 * taken:7.1f} ms a step, {batch / taken:6.0f} pictures/s", flush=True)
        if place == 0 and compute.device.type == "cuda":
            print(of_the_device(one))


def seconds(one: Callable[[int], None], compute: Compute) -> float:
    """The mean of a step."""
    for index in range(WARM_UP):
        one(index)
    _wait(compute)
    started = time.perf_counter()
    for index in range(STEPS):
        one(index)
    _wait(compute)
    return (time.perf_counter() - started) / STEPS


def of_the_device(one: Callable[[int], None]) -> str:
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        one(0)
        torch.cuda.synchronize()
    kernels = [row for row in profiled.events() if row.device_type == torch.autograd.DeviceType.CUDA]
    return (
        f"  of which the GPU computes {sum(row.device_time for row in kernels) / 1000:.1f} ms, {len(kernels)} kernels"
    )


def _wait(compute: Compute) -> None:
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)


if __name__ == "__main__":
    main(*sys.argv[1:])

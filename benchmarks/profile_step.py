"""Where a critic step spends its time: python benchmarks/profile_step.py [fp32|bf16] [BATCH]

One thread, shares of its time by operation, and what a matrix product reaches on the same thread.
"""

from __future__ import annotations

import sys
import time

import torch
from critic_step import CriticStep, build

from dfukit import device
from dfukit.sections import RunSettings

SIDE = 2048
"""Of the matrices whose product is the yardstick."""


def main(precision: str = "bf16", batch: str = "16") -> None:
    compute = device.choose(RunSettings(precision=precision, threads=1))
    matrix = torch.randn(SIDE, SIDE, device=compute.device, dtype=torch.bfloat16 if compute.bf16 else torch.float32)
    taken = []
    for _ in range(5):
        started = time.process_time()
        matrix @ matrix
        taken.append(time.process_time() - started)
    print(f"matrix product: {2 * SIDE**3 / min(taken) / 1e9:.0f} GFLOP/s in {compute}, best of 5, CPU time")
    step = CriticStep(build("critic", "conv"), compute, int(batch))
    step()
    with torch.profiler.profile() as profile:
        step()
    rows = sorted(profile.key_averages(), key=lambda row: row.self_cpu_time_total, reverse=True)
    total = sum(row.self_cpu_time_total for row in rows)
    print(f"critic step, batch {batch}: {total / 1e6:.2f} s")
    for row in rows[:12]:
        print(f"{100 * row.self_cpu_time_total / total:5.1f} %  {row.count:4d} x  {row.key}")


if __name__ == "__main__":
    main(*sys.argv[1:])

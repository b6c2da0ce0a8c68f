"""Seconds of a reference step, by one process with two threads and by two processes (gloo) with one thread each.

`python benchmarks/scaling.py [BATCH] [ROUNDS]` prints the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 3


def seconds(command: list[str], threads: int, batch: int, folder: Path) -> float:
    """Seconds of a step, the first one and the evaluation left out."""
    settings = {
        "gan.batch_size": batch,
        "gan.steps": STEPS,
        "gan.evaluate_every": STEPS,
        "gan.evaluate_pictures": 64,
        "sample.count": 10,
        "data.phantom_patients": 40,
        "run.precision": "fp32",
    }
    told = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    name = tempfile.mkdtemp(dir=folder)
    arguments = ["-m", "dfukit", "train", "--preset", "reference", *told, "--out", name, "--name", "run"]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "DFUKIT_CACHE_DIR": str(folder / "cache")}
    subprocess.run([*command, *arguments], env=env, check=True, capture_output=True)
    lines = (Path(name) / "run" / "metrics.jsonl").read_text().splitlines()
    times = {event["step"]: event["time"] for event in map(json.loads, lines) if "critic_loss" in event}
    return (times[STEPS] - times[1]) / (STEPS - 1)


def main(batch: int = 16, rounds: int = 3) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with tempfile.TemporaryDirectory() as folder:
        taken = [
            (seconds([sys.executable], 2, batch, Path(folder)), seconds(torchrun, 1, batch, Path(folder)))
            for _ in range(rounds)
        ]
    one, two = (statistics.median(values) for values in zip(*taken, strict=True))
    ratios = [first / second for first, second in taken]
    print(
        f"batch {batch}: one process {one:.2f} s a step, two processes {two:.2f} s, "
        f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds)"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

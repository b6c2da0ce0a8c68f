"""Generated photographs, and the start of a training on them in a process of its own: how long, and in how much memory.

`python tests/starting.py PHOTOGRAPHS OUT STEPS` is that process.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

SETTINGS = {"gan.size": 128, "run.threads": 1, "run.device": "cpu", "run.precision": "fp32"}


def photographs(root: Path, count: int, smallest: int = 300, largest: int = 800) -> Path:
    """A folder of JPEGs of two labels, sides of `smallest` to `largest` pixels; its manifest gives 3 to a patient."""
    rng = np.random.default_rng(0)
    root.mkdir()
    rows = [("path", "label", "patient")]
    for number in range(count):
        label = ("healing", "infected")[number // 3 % 2]
        path = root / label / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        width, height = (int(side) for side in rng.integers(smallest, largest + 1, 2))
        blotches = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        blotches.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=85)
        rows.append((path.relative_to(root).as_posix(), label, f"patient {number // 3}"))
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def start(data: Path, out: Path, cache: Path, steps: int) -> dict[str, float]:
    """The first `steps` steps of a training with tiny networks, in a fresh process.

    "first_step" and "first_step_cpu": seconds, and seconds of processor time, from the end of all imports to the end of
    the first step; "first_step_anon" and "last_anon": private memory (RssAnon) in MiB after the first and after the
    last step, the evaluation of that one included.
    """
    command = [sys.executable, __file__, str(data), str(out), str(steps)]
    environment = {**os.environ, "DFUKIT_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


class LastStep(Exception):
    """The training has come as far as was asked."""


class Watch:
    """Notes the clock and the memory after the first step and the last evaluation, and ends the run there."""

    def __init__(self) -> None:
        self.started, self.started_cpu = time.perf_counter(), time.process_time()
        self.seen: dict[str, float] = {}

    def say(self, text: str) -> None:
        if text.startswith("GAN: "):
            self.seen["last_anon"] = private_memory()
            raise LastStep

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        if task == "GAN steps" and done == 1:
            self.seen["first_step"] = time.perf_counter() - self.started
            self.seen["first_step_cpu"] = time.process_time() - self.started_cpu
            self.seen["first_step_anon"] = private_memory()


def private_memory() -> float:
    """RssAnon of this process in MiB: what lies in no file."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


def main(data: str, out: str, steps: str) -> None:
    from dfukit import config, pipeline, registry, rundir

    installed = registry.load()
    for offer in installed.offers:
        importlib.import_module(offer.component.target.partition(":")[0])

    watch = Watch()
    settings = {**SETTINGS, "gan.steps": int(steps), "gan.evaluate_every": int(steps)}
    made = config.resolve(installed, preset="smoke", flags={"data": {"path": data}}, settings=settings)
    folder = rundir.create(Path(out), "", ("start",))
    try:
        pipeline.execute_train(made, folder, watch)
    except LastStep:
        print(json.dumps(watch.seen))


if __name__ == "__main__":
    main(*sys.argv[1:])

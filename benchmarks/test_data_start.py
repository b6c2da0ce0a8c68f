"""The start of a training on 1,000 and on 10,000 photographs: the first time, and once they are in the cache.

`pytest benchmarks/test_data_start.py -s` prints seconds from the end of all imports to the end of the first step of a
GAN with tiny networks at 128x128. The first start decodes every photograph (JPEG, sides of 300 to 800 pixels); the
second ones find them in the cache, in a process of their own each, and the median of them is compared.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
import starting
from pytest_benchmark.fixture import BenchmarkFixture

REPEATS = 5


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_data_start(benchmark: BenchmarkFixture, tmp_path: Path, count: int) -> None:
    photographs = starting.photographs(tmp_path / "photographs", count)

    seen: list[dict[str, float]] = []

    def start() -> None:
        seen.append(starting.start(photographs, tmp_path / "runs", tmp_path / "cache", steps=2))

    start()
    benchmark.pedantic(start, rounds=REPEATS)
    cold, warm = seen[0]["first_step"], median(one["first_step"] for one in seen[1:])
    processor = median(one["first_step_cpu"] for one in seen[1:])
    benchmark.extra_info.update(cold=cold, warm=warm, warm_processor=processor, ratio=cold / warm)
    print(
        f"\n{count:,} photographs: first start {cold:.1f} s, second {warm:.2f} s ({processor:.2f} s of processor "
        f"time), ratio {cold / warm:.1f}"
    )

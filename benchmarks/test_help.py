"""The start of `dfukit --help` against the import of click alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from paired import compare, seconds
from pytest_benchmark.fixture import BenchmarkFixture

PROCESSES = 5
"""In a round."""


def interpreter(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


@pytest.mark.benchmark(group="start")
def test_help(benchmark: BenchmarkFixture, rounds: int) -> None:
    ratios = compare(
        benchmark,
        rounds,
        f"{PROCESSES} starts of dfukit --help",
        {
            "dfukit --help": seconds(lambda: interpreter("-m", "dfukit", "--help"), PROCESSES),
            "import click": seconds(lambda: interpreter("-c", "import click"), PROCESSES),
            "python alone": seconds(lambda: interpreter("-c", "pass"), PROCESSES),
        },
    )
    print(f"  dfukit --help takes {ratios['import click']:.2f} times as long as python -c 'import click'")

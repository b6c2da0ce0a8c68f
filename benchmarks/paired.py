"""Ratios from one run: contestants take turns within each round, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from pytest_benchmark.fixture import BenchmarkFixture


def seconds(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """A contestant that does some work a number of times and says how many seconds it took."""

    def run() -> float:
        started = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - started

    return run


def compare(
    benchmark: BenchmarkFixture,
    rounds: int,
    title: str,
    contestants: Mapping[str, Callable[[], float]],
    warm_up: int = 1,
) -> dict[str, float]:
    """Median over the rounds of (seconds of the first contestant / seconds of each other one), printed with its range.

    A contestant returns the seconds that count. Every second round goes backwards, so that none always comes first.
    """
    first, *others = contestants
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    backwards = iter(range(10_000))

    def one_round() -> None:
        order = list(contestants) if next(backwards) % 2 == 0 else list(reversed(contestants))
        for name in order:
            taken[name].append(contestants[name]())

    benchmark.pedantic(one_round, rounds=rounds, warmup_rounds=warm_up)
    kept = {name: values[-rounds:] for name, values in taken.items()}
    print(f"\n{title}: {first} {statistics.median(kept[first]):.4g} s, median of {rounds}")
    medians = {}
    for name in others:
        ratios = [mine / theirs for mine, theirs in zip(kept[first], kept[name], strict=True)]
        medians[name] = statistics.median(ratios)
        print(
            f"  {name} {statistics.median(kept[name]):.4g} s: {medians[name]:.2f} times as fast "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )
    benchmark.extra_info.update(medians)
    return medians

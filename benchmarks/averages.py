"""Distances of several averages of one generator, all of the same training.

python benchmarks/averages.py 0,30,300 OPTIONS: trains as `dfukit train OPTIONS` does, moves an average for each
half-life in generator steps beside the run's own (0: the weights as they are), and prints at each evaluation the
stopping distance of each, from the same latents. The averages begin as the run's own, also where it is resumed. Give
steps, not a time: the steps that measure the machine first are taken back from the run's own average alone.
"""

from __future__ import annotations

import copy
import itertools
import sys
from unittest import mock

from torch import nn

from dfukit import average, schedule
from dfukit.cli import main
from dfukit.interfaces import Critic, Generator
from dfukit.judge import Judge
from dfukit.sections import GanSettings

move, evaluate = average.move, Judge.evaluate
averages: dict[float, nn.Module] = {}
steps = itertools.count(1)


def move_all(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """As `dfukit.average.move`; the decay of each average grows as its own does at first."""
    if not averages:
        averages.update((half_life, copy.deepcopy(averaged)) for half_life in half_lives)
    done = next(steps)
    for half_life, other in averages.items():
        longest = 0.5 ** (1 / half_life) if half_life else 0.0
        move(other, network, longest if resumed else schedule.averaging(GanSettings(ema=longest), done))
    move(averaged, network, decay)


def evaluate_all(judge: Judge, generator: Generator, critic: Critic) -> bool:
    for half_life, other in averages.items():
        looked = judge._look(other, critic)
        if looked.distance is None:
            sys.exit("too few validation pictures for a stopping distance")
        print(f"step {judge.at}, half-life {half_life:g}: {looked.distance:.3f} +- {looked.error:.3f}", flush=True)
    return evaluate(judge, generator, critic)


if __name__ == "__main__":
    half_lives = [float(text) for text in sys.argv[1].split(",")]
    resumed = "--resume" in sys.argv
    sys.argv[1:2] = ["train"]
    with mock.patch.object(average, "move", move_all), mock.patch.object(Judge, "evaluate", evaluate_all):
        main()

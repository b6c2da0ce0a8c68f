"""How long the GAN trains, and what changes on the way: steps, learning rates, averaging, evaluations.

Everything here is arithmetic on settings. A time budget becomes steps once (`fit`), and is settings like any other
from then on.
"""

from __future__ import annotations

import math

from attrs import evolve

from dfukit.sections import GanSettings

ALL_STEPS = "all steps done"
"""Why a training ended, in training.json, that made all of its steps."""
EVALUATING = 0.08
"""Share of a time budget that evaluations take at most, unless that leaves fewer than `FEWEST` of them."""
MOST, FEWEST = 40, 4
"""Evaluations within a time budget."""
HALF_LIFE = 0.05
"""Half-life of the averaged generator within a time budget, as a share of the steps."""


def steps(settings: GanSettings, epoch_steps: int) -> int:
    """Generator steps of the whole training."""
    return settings.steps or settings.epochs * epoch_steps


def evaluate_every(settings: GanSettings, epoch_steps: int) -> int:
    """Steps between evaluations."""
    return settings.evaluate_every or max(epoch_steps, 20)


def rate(settings: GanSettings, progress: float) -> float:
    """The factor on both learning rates when `progress`, 0 to 1, of the training is done."""
    if settings.lr_schedule == "linear":
        return 1 - progress
    if settings.lr_schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def averaging(settings: GanSettings, done: int) -> float:
    """The decay of the averaged generator after `done` steps: early on it forgets faster, or it would keep the noise
    that it began with."""
    return min(settings.ema, (1 + done) / (10 + done)) if settings.ema else 0.0


def fit(settings: GanSettings, done: int, left: float, step: float, evaluation: float) -> GanSettings:
    """Settings that fill `left` seconds, after `done` steps, where a step takes `step` seconds and an evaluation
    `evaluation`.

    Sets steps, the interval of evaluations and the averaging, and takes the budget out, so that these settings repeat
    the training wherever they are used.
    """
    most = max(int(left / step), 1)
    every = max(math.ceil(evaluation / (EVALUATING * step)), math.ceil(most / MOST))
    every = max(min(every, most // FEWEST), 1)
    added = max(int(left / (step + evaluation / every)), 1)
    added = max(added - added % every, min(every, added))  # the last step is an evaluation, not a few steps after one
    total = done + added
    ema = settings.ema if done else min(settings.ema, 0.5 ** (1 / max(HALF_LIFE * total, 1)))
    return evolve(settings, budget="", steps=total, evaluate_every=every, ema=ema)

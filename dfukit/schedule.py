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
"""Share of a time budget that evaluations take at most, unless that leaves fewer than `FEWEST` of them; then half."""
MOST, FEWEST = 40, 4
"""Evaluations within a time budget."""
HARDLY_LESS = 0.98
"""Share of the best use of the time with which more evaluations are taken in its place."""
HALF_LIFE = 0.05
"""Half-life of the averaged generator within a time budget, as a share of the steps."""


def steps(settings: GanSettings, epoch_steps: int) -> int:
    """Generator steps of the whole training."""
    return settings.steps or settings.epochs * epoch_steps


def evaluate_every(settings: GanSettings, epoch_steps: int) -> int:
    """Steps between evaluations."""
    return settings.evaluate_every or max(epoch_steps, 20)


def evaluations(settings: GanSettings, epoch_steps: int) -> int:
    """Those of the whole training: after each interval, and after the last step."""
    return -(-steps(settings, epoch_steps) // evaluate_every(settings, epoch_steps))


def passes(epochs: float) -> str:
    """How often the training part is seen, in words: of a number of steps few can tell whether it is small."""
    return f"{epochs:.3g} {'pass' if epochs == 1 else 'passes'} over the training part"


def rate(settings: GanSettings, progress: float) -> float:
    """The factor on both learning rates when `progress`, 0 to 1, of the training is done."""
    if settings.lr_schedule == "linear":
        return 1 - progress
    if settings.lr_schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def averaging(settings: GanSettings, done: int) -> float:
    """The decay of the averaged generator after `done` steps.

    From random first weights it forgets faster early on, or it would keep their noise. Weights of another run are worth
    keeping.
    """
    if not settings.ema or settings.start_from:
        return settings.ema
    return min(settings.ema, (1 + done) / (10 + done))


def fit(settings: GanSettings, done: int, left: float, step: float, evaluation: float) -> GanSettings:
    """Settings that fill `left` seconds, after `done` steps, where a step takes `step` seconds and an evaluation
    `evaluation`.

    Sets steps, the interval of evaluations and the averaging, and takes the budget out, so that these settings repeat
    the training wherever they are used.
    """
    if done:  # evaluations come after multiples of `every`, and after the last step: that may be one more
        left -= evaluation
    most = max(int(left / step), 1)
    every = max(math.ceil(evaluation / (EVALUATING * step)), math.ceil(most / MOST))
    evaluations = max(round(most * step / (every * step + evaluation)), min(FEWEST, most), 1)
    while evaluations > 1 and (evaluations * evaluation > left / 2 or evaluations * (evaluation + step) > left):
        evaluations -= 1

    # Equally many steps before each, so that the last step is judged; of the numbers of evaluations that leave hardly
    # any time over, the largest.
    def steps_before_each(n: int) -> int:
        return max(int((left - n * evaluation) / step) // n, 1)

    used = {n: n * (steps_before_each(n) * step + evaluation) for n in range(min(FEWEST, evaluations), evaluations + 1)}
    evaluations = max(n for n, spent in used.items() if spent >= HARDLY_LESS * max(used.values()))
    every = steps_before_each(evaluations)
    total = done + every * evaluations
    ema = settings.ema if done else min(settings.ema, 0.5 ** (1 / max(HALF_LIFE * total, 1)))
    return evolve(settings, budget="", steps=total, evaluate_every=every, ema=ema)

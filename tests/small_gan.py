"""A GAN that trains in a moment, for tests of the loop, and parts of it that fail where they are told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from dfukit import Component, ImageSpec, config, device, frozen, gan, registry
from dfukit.component import Chosen
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.gan import GanPictures, TrainedGan
from dfukit.interfaces import Batch, Loss, Scorer, Step
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.world import ALONE, World
from dfukit_wgan import WganGpSettings
from dfukit_wgan.loss import WassersteinGradientPenalty

IMAGE = ImageSpec(16, 3, ("a", "b"), "a")
CPU = Compute(torch.device("cpu"), bf16=False)

Fault = Callable[[str, Step], float | None]
"""Is asked at each "critic" and "generator" step: raises, or returns what the loss is multiplied by, or None."""


@frozen
class FaultySettings(WganGpSettings):
    """As `wgan_gp`'s."""


class Faulty(Loss):
    """`wgan_gp`, with a fault that a test sets."""

    fault: Fault = staticmethod(lambda turn, step: None)

    def __init__(self, settings: FaultySettings, image: ImageSpec) -> None:
        self.inner = WassersteinGradientPenalty(settings, image)
        self.critic_steps = self.inner.critic_steps

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.broken("critic", step, self.inner.critic(critic, batch, step))

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.broken("generator", step, self.inner.generator(critic, batch, step))

    def broken(self, turn: str, step: Step, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        factor = type(self).fault(turn, step)
        return terms if factor is None else {**terms, "loss": terms["loss"] * factor}


FAULTY = Chosen("loss", Component("faulty", FaultySettings, f"{__name__}:Faulty", ""), FaultySettings(), "test", "1")


class Listening(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


OTHERS: Mapping[str, Mapping[str, Any]] = {
    "fastgan": {"generator.name": "fastgan", "generator.width": 8, "critic.width": 32},
    "r3gan": {"loss.name": "r3gan", "augmentation.name": "ada", "augmentation.ramp": 200},
}
"""Settings that train something else than the reference GAN, quickly."""


def small(**settings: Any) -> RunConfig:
    """A tiny training: of the reference GAN, with faults that a test sets, unless the settings name another."""
    reference = {"generator.lstm_hidden": 16, "generator.dropout": 0.0}
    told = {
        **({} if "generator.name" in settings else reference),
        "gan.steps": 8,
        "gan.evaluate_every": 2,
        "gan.patience": 0,
        "run.device": "cpu",
        "run.precision": "fp32",
        **settings,
    }
    made = config.resolve(registry.load(), preset="smoke", settings=told)
    if made.loss.name != "wgan_gp":
        return made
    critic_steps = made.loss.settings.critic_steps
    return attrs.evolve(made, loss=attrs.evolve(FAULTY, settings=FaultySettings(critic_steps=critic_steps)))


def pictures() -> GanPictures:
    rng = np.random.default_rng(0)
    return GanPictures(
        rng.integers(0, 255, (20, 16, 16, 3), np.uint8),
        np.arange(20) % 2,
        rng.integers(0, 255, (12, 16, 16, 3), np.uint8),
        np.arange(12) % 2,
    )


def train(
    folder: Path, progress: Silent | None = None, distance: Any = None, world: World = ALONE, **settings: Any
) -> TrainedGan:
    folder.mkdir(exist_ok=True, parents=True)
    made = small(**settings)
    compute = device.choose(made.run)
    return gan.train(made, IMAGE, pictures(), compute, RunDir(folder), {}, distance, progress or Silent(), world)


class Signal(Silent):
    """A user who sends a signal once so many steps are done."""

    def __init__(self, step: int, send: Callable[[], None]) -> None:
        self.step, self.send = step, send

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        if task == "GAN steps" and done == self.step:
            self.send()

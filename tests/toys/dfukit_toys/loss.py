"""Losses, sound and broken."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from dfukit import ImageSpec
from dfukit.interfaces import Batch, Loss, Scorer, Step
from dfukit_toys import ToySettings


class Sound(Loss):
    """The non-saturating loss."""

    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        pass

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, fake = critic(batch.real, batch.label), critic(batch.fake, batch.label)
        return {"loss": softplus(-real).mean() + softplus(fake).mean(), "real": real, "fake": fake}

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": softplus(-critic(batch.fake, batch.label)).mean()}


class Backwards(Sound):
    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": critic(batch.fake, batch.label).mean()}


class Vector(Sound):
    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": softplus(-critic(batch.fake, batch.label))}


class Meddles(Sound):
    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        batch.fake.mul_(0.5)
        return super().critic(critic, batch, step)


class Counts(Sound):
    capturable = True

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": super().generator(critic, batch, step)["loss"] * (1 + step.index)}

"""Losses, sound and broken."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dfukit import ImageSpec
from dfukit.interfaces import Batch, Loss, Scorer, Step, of_pictures
from dfukit_toys import ToySettings


class Sound(Loss):
    """The non-saturating loss."""

    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        pass

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, fake = (self.scores(critic, pictures, batch.label) for pictures in (batch.real, batch.fake))
        return {"loss": softplus(-real).mean() + softplus(fake).mean(), "real": real, "fake": fake}

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": softplus(-critic(batch.fake, batch.label)).mean()}

    def scores(self, critic: Scorer, pictures: Tensor, label: Tensor) -> Tensor:
        return of_pictures(critic(pictures, label))


class Backwards(Sound):
    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": critic(batch.fake, batch.label).mean()}


class Mistakes(Sound):
    """Trains the generator on real pictures."""

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": softplus(-critic(batch.real.clone().requires_grad_(), batch.label)).mean()}


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


class OnePlace(Sound):
    def scores(self, critic: Scorer, pictures: Tensor, label: Tensor) -> Tensor:
        return critic(pictures, label)


class Penalises(Sound):
    """With a gradient penalty, but without saying so."""

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        terms, pictures = super().critic(critic, batch, step), batch.real.detach().requires_grad_()
        scores = self.scores(critic, pictures, batch.label)
        (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
        return {**terms, "loss": terms["loss"] + gradient.square().mean()}

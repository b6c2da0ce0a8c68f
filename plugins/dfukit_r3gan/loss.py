"""The relativistic pairing loss with two zero-centred gradient penalties."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dfukit import ImageSpec
from dfukit.interfaces import Batch, Loss, Scorer, Step, of_pictures
from dfukit_r3gan import R3ganSettings


class Relativistic(Loss):
    """E[softplus(D(fake) - D(real))] + gamma / 2 * (R1 + R2) for the critic, E[softplus(D(real) - D(fake))] for the
    generator (Huang et al. 2024).

    R1 = E[|grad D(real)|^2] and R2 = E[|grad D(fake)|^2], by the pictures before augmentation. Real and fake are
    compared in pairs of one class. Gamma falls evenly, where the authors' falls by a cosine. So do their learning
    rates, from 2e-4 to 5e-5, while beta2 rises from 0.9 to 0.99: here rates are those of `gan.lr_schedule`, and beta2
    stays. Their networks are not among the components.
    """

    per_picture: ClassVar[bool] = True
    capturable = True

    def __init__(self, settings: R3ganSettings, image: ImageSpec) -> None:
        self.critic_steps = settings.critic_steps
        self.first, self.last = settings.gamma, settings.last_gamma

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        # One pass for real and fake together: fewer, larger products.
        pictures = torch.cat([batch.real, batch.fake]).requires_grad_()
        scores = of_pictures(critic(pictures, torch.cat([batch.label, batch.label])))
        real, fake = scores.chunk(2)
        # No score depends on another picture, so that the gradient of their sum holds that of each.
        (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
        r1, r2 = gradient.square().flatten(1).sum(1).view(2, -1).mean(1)
        gamma = self.first + (self.last - self.first) * step.progress
        loss = softplus(fake - real).mean() + gamma / 2 * (r1 + r2)
        return {"loss": loss, "real": real, "fake": fake, "r1": r1, "r2": r2}

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        with torch.no_grad():
            real = of_pictures(critic(batch.real, batch.label))
        fake = of_pictures(critic(batch.fake, batch.label))
        return {"loss": softplus(real - fake).mean(), "real": real, "fake": fake}

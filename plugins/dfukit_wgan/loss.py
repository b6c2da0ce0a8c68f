"""The Wasserstein loss with gradient penalty."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from dfukit import ImageSpec
from dfukit.interfaces import Batch, Loss, Scorer, Step, of_pictures
from dfukit_wgan import WganGpSettings


class WassersteinGradientPenalty(Loss):
    """E[D(fake)] - E[D(real)] + weight * E[(|grad D(mix)| - 1)^2] (Gulrajani et al. 2017, algorithm 1)."""

    per_picture: ClassVar[bool] = True
    capturable = True

    def __init__(self, settings: WganGpSettings, image: ImageSpec) -> None:
        self.critic_steps = settings.critic_steps
        self.weight = settings.gradient_penalty

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        # One pass for real and fake together: fewer, larger products.
        scores = of_pictures(critic(torch.cat([batch.real, batch.fake]), torch.cat([batch.label, batch.label])))
        real, fake = scores.chunk(2)
        penalty = self.penalty(critic, batch, step)
        loss = fake.mean() - real.mean() + self.weight * penalty
        return {"loss": loss, "real": real, "fake": fake, "penalty": penalty}

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        fake = of_pictures(critic(batch.fake, batch.label))
        return {"loss": -fake.mean(), "fake": fake}

    def penalty(self, critic: Scorer, batch: Batch, step: Step) -> Tensor:
        """E[(|grad D(mix)| - 1)^2] over random points between each real and fake picture."""
        share = step.uniform("penalty", len(batch.real), 1, 1, 1).to(batch.real)
        mix = torch.lerp(batch.fake, batch.real, share).requires_grad_()
        (gradient,) = torch.autograd.grad(of_pictures(critic(mix, batch.label)).sum(), mix, create_graph=True)
        norm = gradient.flatten(1).norm(dim=1)
        return (norm - 1).square().mean()

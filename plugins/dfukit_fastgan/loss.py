"""The hinge loss."""

from __future__ import annotations

import torch
from torch import Tensor

from dfukit import ImageSpec
from dfukit.interfaces import Batch, Loss, Scorer, Step, of_pictures
from dfukit_fastgan import HingeSettings


class Hinge(Loss):
    """E[max(0, m - D(real))] + E[max(0, m + D(fake))] for the critic, -E[D(fake)] for the generator.

    Where the critic scores places of a picture, each of them is held to the margin. The margins m are drawn for each
    picture, uniformly between 1 - jitter and 1, so that the critic cannot settle exactly on them (Liu et al. 2021 train
    with 0.8 to 1).
    """

    capturable = True

    def __init__(self, settings: HingeSettings, image: ImageSpec) -> None:
        self.critic_steps = settings.critic_steps
        self.jitter = settings.jitter

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        # Apart: a critic may have batch norm, whose statistics would tell real from fake.
        real, fake = (_exact(critic(pictures, batch.label)) for pictures in (batch.real, batch.fake))
        margins = [1 - self.jitter * step.uniform(name, len(real)).to(real) for name in ("real margin", "fake margin")]
        # Of all places of a picture.
        margins = [margin.view(-1, *(1,) * (real.dim() - 1)) for margin in margins]
        loss = torch.relu(margins[0] - real).mean() + torch.relu(margins[1] + fake).mean()
        return {"loss": loss, "real": of_pictures(real), "fake": of_pictures(fake)}

    def generator(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        fake = _exact(critic(batch.fake, batch.label))
        return {"loss": -fake.mean(), "fake": of_pictures(fake)}


def _exact(scores: Tensor) -> Tensor:
    """In float32, or the higher precision that they have."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))

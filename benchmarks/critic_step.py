"""One critic step of `lstm_wgan` with `wgan_gp`, apart from the loop, for measuring and profiling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dfukit import ImageSpec, registry
from dfukit.device import Compute
from dfukit.interfaces import Batch, Step

SIZE = 128
IMAGE = ImageSpec(SIZE, 3, ("infected", "non_infected"), "infected")


def build(kind: str, name: str) -> Any:
    return registry.load().choose(kind, name, {}).build(IMAGE)


def plain(critic: nn.Module) -> nn.Module:
    """The critic with torch's own layers, as a user would build it."""
    for layer in critic.modules():
        for own in (nn.Conv2d, nn.LeakyReLU):
            if isinstance(layer, own):
                layer.__class__ = own
    return critic


class CriticStep:
    """A critic, its optimiser and a batch that stays the same; calling it does one step."""

    def __init__(self, critic: nn.Module, compute: Compute, batch: int) -> None:
        self.compute = compute
        self.critic = critic.to(compute.device).to(memory_format=torch.channels_last)
        self.generator = build("generator", "lstm_wgan").to(compute.device).to(memory_format=torch.channels_last)
        self.loss = build("loss", "wgan_gp")
        self.optimiser = torch.optim.Adam(self.critic.parameters(), 2e-4, (0.0, 0.9), fused=True)
        self.label = torch.arange(batch, device=compute.device) % 2
        self.latent = torch.randn(batch, self.generator.latent_size, device=compute.device)
        real = torch.rand(batch, 3, SIZE, SIZE, device=compute.device) * 2 - 1
        self.real = real.to(memory_format=torch.channels_last)

    def __call__(self) -> None:
        def score(images: Tensor, label: Tensor) -> Tensor:
            with self.compute.autocast():
                return self.critic(images, label)

        with torch.no_grad(), self.compute.autocast():
            fake = self.generator(self.latent, self.label)
        terms = self.loss.critic(score, Batch(self.real, fake.float(), self.label), Step(0, 0))
        self.optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        self.optimiser.step()
        if self.compute.device.type == "cuda":
            torch.cuda.synchronize()

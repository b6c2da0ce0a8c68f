"""Generators, sound and broken."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfukit import ImageSpec
from dfukit.interfaces import Generator
from dfukit_toys import ToySettings


class Sound(Generator):
    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        super().__init__()
        self.latent_size, self.image = 16, image
        self.label = nn.Embedding(len(image.classes), 16)
        self.small = nn.Linear(32, settings.width * 16)
        self.paint = nn.Conv2d(settings.width, image.channels, 3, padding=1)

    def raw(self, latent: Tensor, label: Tensor) -> Tensor:
        cells = self.small(torch.cat([latent, self.label(label)], 1)).view(len(latent), -1, 4, 4)
        raw: Tensor = self.paint(nn.functional.interpolate(cells, (self.image.size, self.image.size)))
        return raw

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return self.raw(latent, label).tanh()


class IgnoresLabel(Sound):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return super().forward(latent, torch.zeros_like(label))


class Unbounded(Sound):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return self.raw(latent, label)


class Noisy(Sound):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        raw = self.raw(latent, label)
        return (raw + 0.1 * torch.randn_like(raw)).tanh()


class Mixes(Sound):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        raw = self.raw(latent, label)
        return (raw + raw.mean(0)).tanh()


class WrongShape(Sound):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return super().forward(latent, label)[:, :, ::2]


class Unreached(Sound):
    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.idle = nn.Parameter(torch.zeros(1))


class Forgets(Sound):
    """What matters is neither a parameter nor a persistent buffer."""

    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.register_buffer("colour", torch.randn(image.channels, 1, 1), persistent=False)
        self.colour: Tensor

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return (self.raw(latent, label) + self.colour).tanh()


class Tied(Sound):
    """A layer goes by two names."""

    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.again = self.paint


class Orphan(nn.Module):
    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        super().__init__()


Helpless = Undeclared = Demanding = Misspells = Exaggerates = Dreams = Sound

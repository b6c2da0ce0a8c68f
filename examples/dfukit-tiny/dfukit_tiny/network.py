"""Noise and class become a coarse map; three times it is enlarged and smoothed."""

import torch
from torch import Tensor, nn

from dfukit import ImageSpec
from dfukit.interfaces import Generator
from dfukit_tiny import TinySettings


class TinyGenerator(Generator):
    def __init__(self, settings: TinySettings, image: ImageSpec) -> None:
        super().__init__()
        self.latent_size, width, coarse = 64, settings.width, image.size // 8
        self.label = nn.Embedding(len(image.classes), self.latent_size)
        layers: list[nn.Module] = [
            nn.Linear(2 * self.latent_size, width * coarse**2),
            nn.Unflatten(1, (width, coarse, coarse)),
        ]
        for size in (image.size // 4, image.size // 2, image.size):
            layers += [nn.Upsample(size), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2)]
        self.draw = nn.Sequential(*layers, nn.Conv2d(width, image.channels, 3, padding=1), nn.Tanh())

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        pictures: Tensor = self.draw(torch.cat([latent, self.label(label)], dim=1))
        return pictures

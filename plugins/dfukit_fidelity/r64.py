"""Features that need no download: a randomly initialised VGG16 with 64 outputs (Naeem et al. 2020, "R64")."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dfukit.interfaces import Extractor

if TYPE_CHECKING:
    from dfukit_fidelity import RandomVgg16Settings

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Width and number of the convolutions between two poolings (Simonyan and Zisserman 2015, configuration D)."""
HIDDEN, OUTPUTS = 4096, 64
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class RandomVgg16(Extractor):
    """He-normal weights drawn from a generator of their own, zero biases; the output of the second dense layer.

    The same seed gives the same weights to the bit, whatever the global random state, and leaves that alone.
    """

    def __init__(self, settings: RandomVgg16Settings) -> None:
        super().__init__()
        self.source = f"random, seed {settings.seed}"
        self._size = settings.size
        # On the meta device nothing is initialised, so that the global random state stays where it is.
        with torch.device("meta"):
            self.network = _vgg16(settings.size // 32)
        self.network.to_empty(device="cpu")
        rng = torch.Generator().manual_seed(settings.seed)
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
                else:
                    parameter.normal_(0.0, math.sqrt(2.0 / parameter[0].numel()), generator=rng)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1) * 255)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pictures = images.float()
        if pictures.shape[-2:] != (self._size, self._size):
            pictures = interpolate(pictures, (self._size, self._size), mode="bilinear", antialias=True)
        pictures = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return {"features": self.network(pictures).float()}


def _vgg16(cells: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width, convolutions in STAGES:
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(channels * cells**2, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, OUTPUTS)]
    return nn.Sequential(*layers)

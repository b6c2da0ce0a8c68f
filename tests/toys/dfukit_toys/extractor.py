"""Extractors, sound and broken."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from dfukit import WeightsError
from dfukit.interfaces import Extractor
from dfukit_toys import ToySettings


class Sound(Extractor):
    def __init__(self, settings: ToySettings) -> None:
        super().__init__()
        self.source = "averages of 4x4 cells"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": adaptive_avg_pool2d(images.float(), 4).flatten(1)}


class Double(Sound):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {name: values.double() for name, values in super().forward(images).items()}


class Unseeded(Sound):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = super().forward(images)["features"]
        return {"features": features + torch.randn_like(features)}


class Mixes(Sound):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = super().forward(images)["features"]
        return {"features": features - features.mean(0)}


class Weightless(Sound):
    def __init__(self, settings: ToySettings) -> None:
        raise WeightsError("the toy weights are not here")

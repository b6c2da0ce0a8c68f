"""Classifiers, sound and broken."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfukit import ImageSpec
from dfukit.interfaces import Classifier
from dfukit_toys import ToySettings


class Sound(Classifier):
    def __init__(self, settings: ToySettings, image: ImageSpec) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, images: Tensor) -> Tensor:
        small = nn.functional.adaptive_avg_pool2d(images - 0.5, 8)
        logits: Tensor = self.body(small)[:, 0]
        return logits


class LearnsNothing(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(images))


class OneSize(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images[:, :, ::4, ::4])[:, 0]
        return logits


class Restless(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(images))


class Mixes(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits - logits.mean()

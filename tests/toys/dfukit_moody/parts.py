"""The sound toys, each with moods."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from dfukit_toys import augmentation, classifier, critic, extractor, generator, loss, metric
from torch import Tensor

from dfukit import ImageSpec
from dfukit.interfaces import Batch, Scorer, Step, View
from dfukit_moody import Moody


def mood(does: str, result: Any) -> Any:
    """The result, or what becomes of it."""
    if does == "raises":
        raise ValueError("not in the mood")
    if does == "exits":
        sys.exit(0)
    if does == "type":
        return 3
    if does == "nan":
        return result * float("nan")
    if does == "detaches":
        return {name: value.detach() for name, value in result.items()}
    if does == "shape":
        return {name: wrong(value) for name, value in result.items()} if isinstance(result, dict) else wrong(result)
    return result


def wrong(value: Any) -> Any:
    return value[None] if isinstance(value, Tensor) else None


class Generator(generator.Sound):
    def __init__(self, settings: Moody, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.does = settings.does

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        pictures: Tensor = mood(self.does, super().forward(latent, label))
        return pictures


class Critic(critic.Sound):
    def __init__(self, settings: Moody, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.does = settings.does

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        scores: Tensor = mood(self.does, super().forward(images, label))
        return scores


class Loss(loss.Sound):
    def __init__(self, settings: Moody, image: ImageSpec) -> None:
        self.does = settings.does

    def critic(self, critic: Scorer, batch: Batch, step: Step) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = mood(self.does, super().critic(critic, batch, step))
        return terms


class Augmentation(augmentation.Sound):
    def __init__(self, settings: Moody, image: ImageSpec) -> None:
        self.does = settings.does

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        changed: Tensor = mood(self.does, super().forward(images, params))
        return changed


class Classifier(classifier.Sound):
    def __init__(self, settings: Moody, image: ImageSpec) -> None:
        super().__init__(settings, image)
        self.does = settings.does

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = mood(self.does, super().forward(images))
        return logits


class Extractor(extractor.Sound):
    def __init__(self, settings: Moody) -> None:
        super().__init__(settings)
        self.does = settings.does

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = mood(self.does, super().forward(images))
        return features


class Metric(metric.Sound):
    name = "moody"

    def __init__(self, settings: Moody) -> None:
        self.does = settings.does

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> Any:
        return mood(self.does, super().measure(real, fake, rng))


class Stranger(torch.nn.Module):
    """A network that is no generator."""

    def __init__(self, settings: Moody, image: ImageSpec) -> None:
        super().__init__()


def nothing(settings: Moody, image: ImageSpec) -> None:
    """A target that makes nothing."""

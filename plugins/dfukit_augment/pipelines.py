"""The augmentations, on kornia: they run on the pictures' device and pass gradients."""

from __future__ import annotations

from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor

from dfukit.component import ImageSpec
from dfukit.interfaces import Augmentation, Step
from dfukit_augment import NoSettings, WoundSettings
from dfukit_augment.warping import warped


class Unchanged(Augmentation):
    """Pictures as they are."""

    capturable = True

    def __init__(self, settings: NoSettings, image: ImageSpec) -> None:
        pass

    def draw(self, n: int, step: Step, purpose: str = "augment") -> None:
        return None

    def forward(self, images: Tensor, params: None) -> Tensor:
        return images


class TwiceDifferentiable(K.RandomAffine):
    """kornia's, with gradients of gradients in every version of torch."""

    def apply_transform(
        self, input: Tensor, params: Any, flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        assert transform is not None
        return warped(input, transform[:, :2])


class Wound(Augmentation):
    """Rotation, zoom, flips and contrast; what comes in from outside a picture is its mirror image, never black."""

    def __init__(self, settings: WoundSettings, image: ImageSpec) -> None:
        self.image = image
        self.pipeline = K.AugmentationSequential(
            TwiceDifferentiable(
                degrees=settings.rotation,
                scale=(1 - settings.zoom, 1 + settings.zoom),
                p=1.0,
            ),
            K.RandomHorizontalFlip(p=settings.horizontal_flip),
            K.RandomVerticalFlip(p=settings.vertical_flip),
            K.RandomContrast((1 - settings.contrast, 1 + settings.contrast), p=1.0),
            same_on_batch=False,
        )

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Any:
        # kornia draws from the global generator of the CPU and takes no other.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(step.rng(purpose).initial_seed())
            return self.pipeline.forward_parameters(
                torch.Size((n, self.image.channels, self.image.size, self.image.size))
            )

    def forward(self, images: Tensor, params: Any) -> Tensor:
        changed: Tensor = self.pipeline(images, params=params)
        return changed

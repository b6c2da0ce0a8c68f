"""Adaptive augmentation of what a critic sees (Karras et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from dfukit.component import ImageSpec
from dfukit.interfaces import Augmentation, Step
from dfukit_augment import AdaSettings
from dfukit_augment.colour import change, chosen, either_way
from dfukit_augment.warping import warped

REMEMBERED = 256
"""Pictures over which the sign of scores is averaged: a single small batch has a mean sign of nearly -1 or 1."""
CHANGES = 8
"""Kinds of change, each made with the probability: flip, quarter turns, rotation, zoom, shift, and three of colour."""


class Ada(Augmentation):
    """Flips, quarter turns, rotation, zoom, shifts and weak colours, each of them with the probability p.

    After each critic step p moves by n / ramp, up where r_t is above its target and down where it is below, n being the
    pictures of the batch and r_t the mean sign of the scores of real pictures: 0 where the critic knows nothing, 1
    where it knows all of them. Scores are counted from the middle between the means of real and fake ones, because
    those of Wasserstein and relativistic losses have no zero.

    Of the paper's changes the luma flip, hues and filters are left out, as they change what a wound is, and so are
    uneven zoom, shifts by whole pixels, noise and squares. How far the others go is drawn evenly within bounds, where
    the paper draws zoom, shifts and colours from normal distributions. And p has a bound, `highest`, and is moved after
    each critic step in the place of every fourth.
    """

    adapts: ClassVar[bool] = True

    def __init__(self, settings: AdaSettings, image: ImageSpec) -> None:
        self.settings = settings
        self.probability = torch.zeros(())
        self.sign = torch.zeros(())
        """r_t"""

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        """Uniform numbers [N, 8 + 9] on the CPU: whether a change is made, and how far it goes (a shift has two)."""
        return step.uniform(purpose, n, 2 * CHANGES + 1)

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        uniform = params.to(images)
        made = chosen(uniform[:, :CHANGES], self.probability.to(images.device)).to(images.dtype)
        far = uniform[:, CHANGES:]
        strength, wide = self.settings, images.shape[-1]

        # All changes of place are one change of coordinates, and pixels are read once.
        angle = made[:, 1] * (far[:, 1] * 4).floor() * (math.pi / 2)
        angle = angle + made[:, 2] * either_way(far[:, 2]) * math.radians(strength.rotation)
        scale = (1 + strength.zoom) ** (made[:, 3] * either_way(far[:, 3]))
        mirror = 1 - 2 * made[:, 0] * (far[:, 0] < 0.5)
        shift = made[:, 4:5] * either_way(far[:, 4:6]) * strength.translation * wide
        images = warped(images, _about_the_centre(angle, scale, mirror, shift, wide))

        colours = (made[:, 5:] * either_way(far[:, 6:])).view(-1, 3, 1, 1, 1)
        return change(
            images,
            strength.brightness * colours[:, 0],
            strength.saturation * colours[:, 1],
            strength.contrast * colours[:, 2],
        )

    def observe(self, terms: Mapping[str, Tensor]) -> None:
        real, fake = terms["real"], terms["fake"]
        middle = (real.mean() + fake.mean()) / 2
        new = min(len(real) / REMEMBERED, 1.0)
        self.sign = torch.lerp(self.sign.to(real.device), (real - middle).sign().mean().float(), new)
        step = (self.sign - self.settings.target).sign() * len(real) / self.settings.ramp
        self.probability = (self.probability.to(real.device) + step).clamp(0, self.settings.highest)

    def state(self) -> dict[str, Tensor]:
        return {"probability": self.probability, "sign": self.sign}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.probability, self.sign = state["probability"], state["sign"]


def _about_the_centre(angle: Tensor, scale: Tensor, mirror: Tensor, shift: Tensor, wide: int) -> Tensor:
    """Affine matrices [N, 2, 3] in pixels: mirrored, turned and scaled about the centre, then shifted [N, 2]."""
    cos, sin, centre = angle.cos() * scale, angle.sin() * scale, (wide - 1) / 2
    linear = torch.stack([torch.stack([mirror * cos, -sin], 1), torch.stack([mirror * sin, cos], 1)], 1)
    moved = centre - linear.sum(2) * centre + shift
    return torch.cat([linear, moved[:, :, None]], 2)

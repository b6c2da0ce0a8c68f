"""Differentiable augmentation of what a critic sees (Zhao et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from dfukit.component import ImageSpec
from dfukit.interfaces import Augmentation, Step
from dfukit_augment import DiffAugmentSettings
from dfukit_augment.colour import change, either_way

GREY = 0.5
"""What the square is filled with: the middle of the range, as in the paper, whose pictures lie in [-1, 1]."""


class DiffAugment(Augmentation):
    """Colour, translation and cutout of every picture, as gradients pass through to the generator.

    In plain torch, for kornia's erasing and translation draw in ways of their own. What comes in from outside a picture
    is its mirror image: a black border would be something to learn.
    """

    capturable = True

    def __init__(self, settings: DiffAugmentSettings, image: ImageSpec) -> None:
        self.settings = settings
        self.shift = round(settings.translation * image.size)
        self.hole = round(settings.cutout * image.size)

    def draw(self, n: int, step: Step, purpose: str = "augment") -> Tensor:
        """Uniform numbers [N, 7] on the CPU: three of colour, two of translation, two of the square."""
        return step.uniform(purpose, n, 7)

    def forward(self, images: Tensor, params: Tensor) -> Tensor:
        colours = either_way(params[:, :3]).to(images).view(-1, 3, 1, 1, 1)
        strength = self.settings
        images = change(
            images,
            strength.brightness * colours[:, 0],
            strength.saturation * colours[:, 1],
            strength.contrast * colours[:, 2],
        )
        if self.shift:
            images = self._moved(images, params[:, 3:5].to(images.device))
        if self.hole:
            images = self._with_hole(images, params[:, 5:].to(images))
        return images

    def _moved(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Shifted by whole pixels."""
        n, channels, height, width = images.shape
        shifts = (uniform * (2 * self.shift + 1)).long() - self.shift
        rows = _mirrored(shifts[:, :1], height)[:, None, :, None].expand(n, channels, height, width)
        columns = _mirrored(shifts[:, 1:], width)[:, None, None, :].expand(n, channels, height, width)
        moved = images.contiguous().gather(2, rows).gather(3, columns)
        return moved.contiguous(memory_format=torch.channels_last)

    def _with_hole(self, images: Tensor, uniform: Tensor) -> Tensor:
        """A grey square whose centre lies anywhere in the picture."""
        height, width = images.shape[2:]
        rows = self._inside(uniform[:, :1], height)[:, None, :, None]
        columns = self._inside(uniform[:, 1:], width)[:, None, None, :]
        return torch.where(rows & columns, GREY, images)

    def _inside(self, uniform: Tensor, length: int) -> Tensor:
        """Which of `length` pixels lie in the square: bool [N, length]."""
        first = (uniform * length).floor() - self.hole // 2
        places = torch.arange(length, device=uniform.device)
        return (places >= first) & (places < first + self.hole)


def _mirrored(shifts: Tensor, length: int) -> Tensor:
    """Which pixels are seen after shifts [N, 1] of less than `length`: [N, length], mirrored at the first and last."""
    places = torch.arange(length, device=shifts.device) + shifts
    return length - 1 - (length - 1 - places.abs()).abs()

"""Changes of brightness, saturation and contrast, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def change(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Pictures in [0, 1] changed by one number each [N, 1, 1, 1]; 0 changes nothing.

    `brightness` is added, `saturation` and `contrast` are shares by which the distance from the pixel's grey, and from
    the picture's mean, grows.
    """
    images = images + brightness
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * (1 + contrast)).clamp(0, 1)


def either_way(uniform: Tensor) -> Tensor:
    """Numbers in [0, 1) spread over [-1, 1)."""
    return uniform * 2 - 1


def chosen(uniform: Tensor, probability: Tensor | float) -> Tensor:
    """1 with the probability, else 0."""
    return (uniform < probability).to(torch.float32)

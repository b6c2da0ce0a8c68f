"""The one way in which dfukit changes the size of pictures that it holds."""

from __future__ import annotations

import numpy as np
from PIL import Image

FILTER = Image.Resampling.LANCZOS
"""Pillow's Lanczos, whose support grows with the reduction: antialiased going down, smooth going up."""


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Square pictures uint8 [N, size, size, 3] from uint8 [N, H, W, 3]; the input itself where it has that size."""
    if pixels.shape[1:3] == (size, size):
        return pixels
    resized = np.empty((len(pixels), size, size, 3), np.uint8)
    for picture, target in zip(pixels, resized, strict=True):
        target[...] = np.asarray(Image.fromarray(np.asarray(picture)).resize((size, size), FILTER))
    return resized

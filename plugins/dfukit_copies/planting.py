"""Copies of training pictures as a generator, or a careless hand, might make them: what an audit must find."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

CROP = 0.9
"""Width that a cropped copy keeps."""
QUALITY = 60
"""JPEG quality of a recompressed copy."""
GAIN = 0.1
"""How much brighter or darker a copy is made."""

Plant = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def exact(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return picture


def mirrored(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return picture[:, ::-1]


def cropped(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """90 % of the width, anywhere, brought back to the whole width."""
    size = len(picture)
    kept = round(CROP * size)
    top, left = rng.integers(0, size - kept + 1, 2)
    return _resized(picture[top : top + kept, left : left + kept], size)


def recompressed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(buffer, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(buffer)).reshape(picture.shape)


def brighter_or_darker(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gain = rng.choice((1 - GAIN, 1 + GAIN))
    return np.asarray((picture * gain).round().clip(0, 255), np.uint8)


KINDS: Mapping[str, Plant] = {
    "exact": exact,
    "mirrored": mirrored,
    "cropped": cropped,
    "recompressed": recompressed,
    "brighter or darker": brighter_or_darker,
}
"""Each takes a picture uint8 [S, S, C] and gives one of the same shape."""


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(picture.squeeze()).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size, size, -1)

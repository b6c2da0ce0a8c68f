"""Random fields: small grids of normal numbers, enlarged smoothly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]
"""Single precision throughout; numpy's own annotations lose that in arithmetic with Python numbers."""

MARGIN = 2  # Cells beyond each border, so that the enlargement never meets an edge.


def smooth(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> Field:
    """A field [size, size] of about unit variance, with `cells` (down, across) independent bumps."""
    down, across = cells
    grid = rng.standard_normal((down + 2 * MARGIN, across + 2 * MARGIN), dtype=np.float32)
    box = (MARGIN, MARGIN, across + MARGIN, down + MARGIN)
    enlarged = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(enlarged, dtype=np.float32) * np.float32(1.3)


def fractal(rng: np.random.Generator, size: int, cells: int, octaves: int) -> Field:
    """A field [size, size] of about unit variance: `octaves` smooth fields, each twice as fine and half as strong."""
    total = sum(
        (smooth(rng, size, (cells << k, cells << k)) * 0.5**k for k in range(1, octaves)),
        smooth(rng, size, (cells, cells)),
    )
    unit: Field = total * np.float32(1 / np.sqrt(sum(0.25**k for k in range(octaves))))
    return unit


def ramp(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, and a smooth step between; falls instead where `high` is the smaller."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    step: Field = t * t * (3 - 2 * t)
    return step

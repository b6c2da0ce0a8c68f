"""Letters burned into a photograph: the date that a camera prints along its upper or lower edge."""

from __future__ import annotations

import numpy as np
from PIL import Image

STEP = 14
"""Grey levels by which a pixel of a stroke stands out from both its neighbours, two pixels to the left and right."""
HEIGHTS = (8, 10, 12)
WIDTH = 30
"""A line of print that is looked for, in pixels."""
FULL, HALVED = 0.25, 0.35
"""Scores that count as print, chosen by looking at 740 wound crops: of the 34 flagged, 25 carry a date and most others
a ruler, a label or a grid; hair and skin reach 0.23 at full size and 0.34 at half size."""


def has_burned_in_text(pixels: np.ndarray) -> bool:
    """Whether the upper or lower quarter of uint8 [256, 256, 3] seems to hold a line of print.

    Print is a band with dense strokes and calm strips above and below, which texture does not have. It is looked for at
    full and at half size. Faint and tilted print is missed: this warns, it does not de-identify.
    """
    halved = np.asarray(Image.fromarray(pixels).reduce(2))
    return _score(pixels) > FULL or _score(halved) > HALVED


def _score(pixels: np.ndarray) -> float:
    quarter = len(pixels) // 4
    return max(_band_score(_strokes(edge)) for edge in (pixels[:quarter], pixels[-quarter:]))


def _strokes(pixels: np.ndarray) -> np.ndarray:
    """Pixels of thin upright strokes, bool [H, W - 4]."""
    red, green, blue = np.moveaxis(pixels.astype(np.int16), 2, 0)
    grey = (2 * red + 5 * green + blue) >> 3
    middle, left, right = grey[:, 2:-2], grey[:, :-4], grey[:, 4:]
    return np.asarray((middle - np.maximum(left, right) > STEP) | (np.minimum(left, right) - middle > STEP))


def _band_score(strokes: np.ndarray) -> float:
    """Best density of strokes in a band, less one and a half times that of the busier strip beside it."""
    total = np.pad(strokes.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))
    columns = total[:, WIDTH:] - total[:, :-WIDTH]

    def density(height: int) -> np.ndarray:
        """Share of stroke pixels in each window of this height, by its upper left corner."""
        count = (columns[height:] - columns[:-height]).astype(np.float32)
        return np.asarray(count / np.float32(height * WIDTH))

    strip = 1.5 * density(2)
    best = 0.0
    for height in HEIGHTS:
        band = density(height)
        beside = np.zeros_like(band)
        beside[4:] = strip[: len(band) - 4]  # two rows of distance: letters are not cut straight
        below = strip[height + 2 :]
        np.maximum(beside[: len(below)], below, out=beside[: len(below)])
        best = max(best, float((band - beside).max()))
    return best

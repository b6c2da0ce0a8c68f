"""Letters burned into a photograph: the date that a camera prints into a corner."""

from __future__ import annotations

import numpy as np


def has_burned_in_text(pixels: np.ndarray) -> bool:
    """Whether uint8 [256, 256, 3] seems to carry a printed date: small bright orange or yellow strokes in a corner."""
    return False

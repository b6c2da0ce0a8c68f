"""Skin tone from a photograph: an estimate of the individual typology angle.

The angle is ITA = atan((L* - 50) / b*) in degrees (Chardon, Cretois and Hourseau 1991), made for a colorimeter on the
skin. Kinyanjui et al. (2020) and Groh et al. (2021) read it from photographs, of the skin around the lesion, and named
its bins. Here it is the median L* and b* of the pixels in the outer ring of a picture whose colour can be skin's: the
wound lies in the middle, reddened skin and red tissue have a smaller hue, and cloth, paper and floors less chroma or
another hue.

What it cannot do: light, exposure and white balance of a photograph move it by more than the width of a bin. On the
phantom set, whose tones are known, it follows them (rank correlation 0.94) and lies 11 degrees too dark, because a limb
is shaded; half of the pictures fall into the right bin and 90% at most one off. It says whether a set has light and
dark skin in it, and whether a figure holds for both; it says nothing about one patient, and is no Fitzpatrick type.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

COLUMN = "estimated_skin_tone"
NO_ESTIMATE = "no estimate"
BINS = {"very light": 55.0, "light": 41.0, "intermediate": 28.0, "tan": 10.0, "brown": -30.0, "dark": -91.0}
"""The angle in degrees above which a bin begins."""

RING = 0.6
"""Where the outer ring begins, in half picture widths from the middle."""
WIDTH = 64
"""Pixels that are looked at along a side, at most."""
HUE = (35.0, 85.0)
CHROMA = (8.0, 45.0)
LIGHTNESS = (12.0, 96.0)
FEWEST = 0.05
"""Share of the ring that must be skin."""

# sRGB to CIE XYZ, relative to D65 (IEC 61966-2-1).
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def typology_angles(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """The estimated angle float64 [N] of pictures uint8 [S, S, 3], in degrees, to a tenth.

    It is nan where too little of the ring looks like skin.
    """
    return np.round(np.array([_angle(picture) for picture in pictures], np.float64), 1)


def tone(angle: float) -> str:
    """The bin of an angle in degrees; "no estimate" for nan."""
    return next((name for name, above in BINS.items() if angle > above), NO_ESTIMATE)


def _angle(picture: np.ndarray) -> float:
    step = max(1, picture.shape[0] // WIDTH)
    small = picture[::step, ::step]
    down, across = (np.abs((np.arange(length) + 0.5) / length * 2 - 1) for length in small.shape[:2])
    lightness, a, b = lab(small[np.maximum(down[:, None], across[None]) > RING]).T
    hue, chroma = np.degrees(np.arctan2(b, a)), np.hypot(a, b)
    skin = np.ones(len(hue), bool)
    for values, (low, high) in ((hue, HUE), (chroma, CHROMA), (lightness, LIGHTNESS)):
        skin &= (values > low) & (values < high)
    if skin.mean() < FEWEST:
        return float("nan")
    return float(np.degrees(np.arctan((np.median(lightness[skin]) - 50) / np.median(b[skin]))))


def lab(pixels: np.ndarray) -> np.ndarray:
    """CIELAB (D65) float64 [..., 3] of sRGB pixels uint8 [..., 3]."""
    encoded = np.asarray(pixels, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio = linear @ XYZ.T / WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)

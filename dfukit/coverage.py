"""Whom the generator draws: estimated skin tones of the training and of the synthetic pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfukit import rundir
from dfukit.clinical import intervals, skin
from dfukit.images import ImageSet, Split
from dfukit.rundir import RunDir
from dfukit.sample import Samples

MOST_PICTURES = 2000
"""Of each set; an angle takes a third of a millisecond."""


def write(folder: RunDir, images: ImageSet, split: Split, samples: Samples, size: int) -> None:
    """Write skin-tones.json: for the training and the synthetic pictures the share of each bin, with its interval.

    Both are looked at in the generator's size. Intervals of training pictures are over patients; synthetic pictures
    are independent draws. "fewer" names the bins whose synthetic share lies below the training share, the intervals
    apart: whom the generator draws more seldom than it saw them.
    """
    training = _some(split.train)
    real = _shares(skin.typology_angles(images.at(size)[place] for place in training), images.groups[training])
    drawn = _some(np.arange(len(samples)))
    synthetic = _shares(skin.typology_angles(samples.pixels[place] for place in drawn), np.arange(len(drawn)))
    rundir.write_json(
        folder.skin_tones,
        {
            "training": real,
            "synthetic": synthetic,
            "fewer": [name for name in skin.BINS if _below(synthetic["shares"].get(name), real["shares"].get(name))],
        },
    )


def _some(index: np.ndarray) -> np.ndarray:
    """At most MOST_PICTURES of them, evenly spread."""
    return index[np.linspace(0, len(index) - 1, min(len(index), MOST_PICTURES)).astype(np.int64)]


def _shares(angles: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Shares of the bins among the pictures that have an estimate, and how many these are."""
    told = np.isfinite(angles)
    tones = np.array([skin.tone(angle) for angle in angles[told]])
    shares = {}
    for name in skin.BINS if told.any() else ():
        found = intervals.proportion(tones == name, groups[told])
        shares[name] = {
            "value": float((tones == name).mean()),
            "interval": found.bounds,
            "n": int((tones == name).sum()),
            **({"reason": found.reason} if found.reason else {}),
        }
    return {"n": int(told.sum()), "patients": len(np.unique(groups[told])), "looked_at": len(angles), "shares": shares}


def _below(synthetic: dict[str, Any] | None, real: dict[str, Any] | None) -> bool:
    if not synthetic or not real or synthetic["interval"] is None or real["interval"] is None:
        return False
    return bool(synthetic["interval"][1] < real["interval"][0])

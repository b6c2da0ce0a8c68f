"""What all pictures of one made-up patient share."""

from __future__ import annotations

import numpy as np
from attrs import frozen

INFECTED_SHARE = 0.45
GOLDEN = 0.6180339887498949


@frozen
class Traits:
    """A made-up patient. Where no unit is given, 0 is none and 1 is as much as there can be; lengths are in half
    picture widths.

    Every sign of infection depends on the class through `severity` alone, with noise of its own. The severities of
    the two classes are normal, 2.4 standard deviations apart: no classifier can be expected above an AUROC of 0.95.
    """

    infected: bool
    severity: float
    erythema: float
    spread: float
    exudate: float
    swelling: float
    slough: float
    necrosis: float
    callus: float
    tone: float
    """Fitzpatrick type less one, 0 to 5."""
    mottling: float
    radius: float
    aspect: float
    """Length of the wound over its width."""
    depth: float
    width: float
    """Half the width of the foot."""
    taper: float
    """By what share the foot narrows in a length of one."""
    end: float
    """How far from the wound the foot ends."""


def is_infected(seed: int, patient: int) -> bool:
    """The class of a patient. Steps of the golden ratio keep the share even, so that few patients hold both classes."""
    start = np.random.default_rng([seed, 0]).random()
    return bool((start + patient * GOLDEN) % 1 < INFECTED_SHARE)


def draw_traits(rng: np.random.Generator, infected: bool) -> Traits:
    """A patient at random."""
    severity = float(np.clip(rng.normal(0.70 if infected else 0.27, 0.18), 0, 1))

    def sign(noise: float) -> float:
        return float(np.clip(severity + rng.normal(0, noise), 0, 1))

    return Traits(
        infected=infected,
        severity=severity,
        erythema=sign(0.08),
        spread=sign(0.15),
        exudate=float(np.clip(1.5 * sign(0.12) - 0.45, 0, 1)),
        swelling=sign(0.2),
        slough=float(0.65 * rng.beta(1.2, 1.6) + 0.2 * sign(0.2)),
        necrosis=float(0.6 * rng.beta(0.6, 2.2) + 0.1 * sign(0.2)),
        callus=float(rng.beta(0.6, 1.0)),
        tone=float(rng.uniform(0, 5)),
        mottling=float(rng.uniform(0.3, 1)),
        radius=float(rng.uniform(0.25, 0.42)),
        aspect=float(np.exp(rng.normal(0.15, 0.25))),
        depth=float(rng.uniform(0.3, 1)),
        width=float(rng.uniform(0.8, 1.7)),
        taper=float(rng.normal(0, 0.12)),
        end=float(rng.uniform(0.8, 2.6)),
    )

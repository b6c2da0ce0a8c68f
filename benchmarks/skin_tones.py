"""How far the estimated skin tone of a phantom picture is from the tone that it was drawn with.

    python benchmarks/skin_tones.py

True angles are those of the skin's own colour, before light and camera.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from dfukit import phantom
from dfukit.clinical import skin
from dfukit.phantom.surface import SKIN
from dfukit.phantom.traits import draw_traits, is_infected

PATIENTS, PICTURES, SIZE = 120, 2, 128


def true_angle(patient: int) -> float:
    """Degrees of the patient's skin in even light."""
    lightness, _, b = skin.lab(np.array(SKIN)).T
    tone = draw_traits(np.random.default_rng([0, 1, patient]), is_infected(0, patient)).tone
    return float(np.interp(tone, range(len(SKIN)), np.degrees(np.arctan((lightness - 50) / b))))


def main() -> None:
    pictures = [phantom.draw_patient(0, patient, PICTURES, SIZE)[0] for patient in range(PATIENTS)]
    told = skin.typology_angles(np.concatenate(pictures))
    truth = np.repeat([true_angle(patient) for patient in range(PATIENTS)], PICTURES)
    known = np.isfinite(told)
    names = list(skin.BINS)
    apart = np.abs(
        [
            names.index(skin.tone(a)) - names.index(skin.tone(b))
            for a, b in zip(told, truth, strict=True)
            if np.isfinite(a)
        ]
    )
    print(f"{len(told)} pictures of {PATIENTS} phantom patients, {known.mean():.0%} with an estimate")
    print(f"rank correlation {spearmanr(told[known], truth[known])[0]:.2f}")
    print(f"median of estimate - truth {np.median(told[known] - truth[known]):.1f} degrees")
    print(f"right bin {(apart == 0).mean():.0%}, at most one off {(apart <= 1).mean():.0%}")
    print(f"two pictures of a patient differ by {np.median(np.abs(told[::2] - told[1::2])):.1f} degrees (median)")


if __name__ == "__main__":
    main()

"""The audit: which synthetic pictures copy a training picture, and how many copies such an audit would find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from dfukit.clinical.intervals import wilson
from dfukit.interfaces import Found, Metric, Score, View
from dfukit.rows import Pixels
from dfukit_copies.alignment import NOBODY, Gallery, Matches
from dfukit_copies.features import nearest_ratio, relative_nearest
from dfukit_copies.patients import Patients
from dfukit_copies.planting import KINDS
from dfukit_copies.threshold import threshold

if TYPE_CHECKING:
    from dfukit_copies import CopiesSettings

MIN_PICTURES = 10
"""Training pictures from which a threshold can be calibrated."""
FEATURE_FALSE_ALARMS = 0.001
"""As `false_alarms`, in feature space: stricter, because blurred pictures lie nearer to each other there."""
FARTHEST, FARTHEST_FEATURES = 0.1, 0.5
"""Beyond these distances nothing is a copy, however far real pictures lie apart."""
GAIN = 0.04
"""Change of contrast from which a copy is called brighter or darker."""


@frozen(eq=False)
class _Calibrated:
    """Thresholds, and the real pictures that they came from."""

    pixels: float
    """Aligned distance below which a picture is a copy."""
    features: float
    """Relative nearest distance below which it is one; 0 where there are no features."""
    false_alarms: tuple[int, int]
    """Real pictures that are no copies, called copies by one threshold or the other; and how many were looked at."""
    text: str


class Copies(Metric):
    """Every synthetic picture against every training picture, aligned pixel by pixel and in feature space.

    A picture is flagged where its distance to the nearest training picture, after mirroring, cropping and fitting the
    brightness, is smaller than a threshold that calls a share `false_alarms` of real pictures a copy of another
    patient's: it comes from the training pictures against those of other patients, and from the held-out pictures
    where there are some. Near-duplicates count as one patient's, whoever they are filed under. Likewise in feature
    space, by the distance to the nearest training picture in units of that to the next 50 (Carlini et al. 2023). Then
    copies of training pictures are planted and looked for in the same way: the share found is the audit's power, by
    pixels alone. The ratio of nearest distances (after Meehan et al. 2020) shows whether the generator leans on its
    training pictures without copying one.
    """

    reads = "pixels+features"
    better = "neither"
    floor = False
    audit = True

    def __init__(self, settings: CopiesSettings) -> None:
        self._settings = settings

    def measure(self, real: View, fake: View, rng: np.random.Generator) -> dict[str, Score]:
        if real.pixels is None or fake.pixels is None:
            raise ValueError("copies needs the pixels of both sets")
        n = (real.n, fake.n)
        if real.n < MIN_PICTURES:
            reason = f"needs at least {MIN_PICTURES} training pictures to set its threshold, got {real.n}"
            return {"copies": Score(None, n, reason=reason)}
        gallery, patients = Gallery(real.pixels), Patients.of(real)
        calibrated = self._calibrate(real, gallery, patients)

        # Look for copies.
        matches = gallery.match(fake.pixels)
        found = [
            Found(int(i), int(matches.index[i]), _how(fake.pixels, real.pixels, matches, i), float(matches.distance[i]))
            for i in np.flatnonzero(matches.distance < calibrated.pixels)
        ]
        if real.features is not None and fake.features is not None:
            relative, place = relative_nearest(fake.features, real.features)
            known = {one.fake for one in found}
            found += [
                Found(int(i), int(place[i]), "alike in features", float(relative[i]))
                for i in np.flatnonzero(relative < calibrated.features)
                if i not in known
            ]

        flagged = _share(len(found), fake.n)
        power = self._power(real.pixels, gallery, calibrated.pixels, rng)
        alarms, looked_at = calibrated.false_alarms
        details: dict[str, Any] = {
            "flagged": len(found),
            "thresholds": {"pixels": calibrated.pixels, "features": calibrated.features},
            "calibrated_on": calibrated.text,
            "false_alarms": _share(alarms, looked_at),
            "power": power,
            **_ratio(real, fake, patients, rng),
            "statement": _statement(len(found), fake.n, power["all"]["value"]),
        }
        score = Score(
            flagged["value"],
            n,
            tuple(flagged["interval"]),
            real_vs_real=alarms / looked_at,
            details=details,
            found=tuple(sorted(found, key=lambda one: one.fake)),
            distances=matches.distance,
        )
        return {"copies": score}

    def _calibrate(self, real: View, gallery: Gallery, patients: Patients) -> _Calibrated:
        among = _apart(real, real, gallery, patients.training, patients.training)
        outside = _apart(real.held_out, real, gallery, patients.held_out, patients.training)
        text = f"{len(among)} training pictures against those of other {patients.whom}"
        if len(outside):
            text += f", and {len(outside)} held-out pictures"
        if patients.shared:
            text += f"; {patients.shared} near-duplicates of other patients' pictures are not compared with these"
        if len(among) + len(outside) < MIN_PICTURES:  # hardly anybody has another patient to be compared with
            each = np.arange(real.n)
            among = _apart(real, real, gallery, each, each)
            text = f"{len(among)} training pictures against each other"
        pixels, features = np.concatenate([among, outside]).T
        near = min(FARTHEST, threshold(pixels, self._settings.false_alarms))
        alike = min(FARTHEST_FEATURES, threshold(features, FEATURE_FALSE_ALARMS)) if real.features is not None else 0.0
        judged = outside if len(outside) else among
        alarms = int(((judged[:, 0] < near) | (judged[:, 1] < alike)).sum())
        return _Calibrated(near, alike, (alarms, len(judged)), text)

    def _power(self, pixels: Pixels, gallery: Gallery, limit: float, rng: np.random.Generator) -> dict[str, Any]:
        """Planted copies of each kind that are found."""
        power, hits, total = {}, 0, 0
        for kind, plant in KINDS.items():
            chosen = np.sort(rng.choice(len(pixels), min(self._settings.planted, len(pixels)), replace=False))
            copies = np.stack([plant(picture.transpose(1, 2, 0), rng) for picture in pixels[chosen]])
            matches = gallery.match(copies.transpose(0, 3, 1, 2))
            found = int((matches.distance < limit).sum())
            power[kind] = _share(found, len(copies))
            hits, total = hits + found, total + len(copies)
        return {"all": _share(hits, total), **power}


def _apart(some: View | None, real: View, gallery: Gallery, groups: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Aligned distance and relative nearest distance [N, 2] of real pictures to training pictures of other groups, of
    those that have any; 1 in feature space where there are no features."""
    if some is None or some.pixels is None or not some.n:
        return np.empty((0, 2))
    pixels = gallery.match(some.pixels, groups, training).distance
    features = np.ones(some.n)
    if some.features is not None and real.features is not None:
        features = relative_nearest(some.features, real.features, groups, training)[0]
    return np.stack([pixels, features], 1)[pixels < NOBODY]


def _ratio(real: View, fake: View, patients: Patients, rng: np.random.Generator) -> dict[str, Any]:
    """The entry `nearest_ratio`; None, with the reason, without features or with too few held-out pictures."""
    held_out, why = real.held_out, ""
    if real.features is None or fake.features is None or held_out is None or held_out.features is None:
        why = "there are no features or no held-out pictures"
    elif held_out.n < MIN_PICTURES:
        why = f"{held_out.n} held-out pictures, at least {MIN_PICTURES} are needed"
    elif fake.n < MIN_PICTURES:
        why = f"{fake.n} synthetic pictures, at least {MIN_PICTURES} are needed"
    elif held_out.n > real.n:
        why = f"{held_out.n} held-out pictures, more than the {real.n} of the training part"
    if why:
        return {"nearest_ratio": None, "nearest_ratio_reason": why}
    assert real.features is not None
    assert fake.features is not None
    assert held_out is not None
    assert held_out.features is not None
    ratio = nearest_ratio(fake.features, real.features, held_out.features, patients.training, patients.held_out, rng)
    return {
        "nearest_ratio": {
            "value": ratio.value,
            "interval": list(ratio.interval),
            "n": ratio.n,
            "expected": list(ratio.expected),
        }
    }


def _share(hits: int, n: int) -> dict[str, Any]:
    """Hits of n independent pictures, with Wilson's interval."""
    return {"value": hits / n, "interval": wilson(hits / n, n, math.inf), "n": n}


def _how(fake: Pixels, real: Pixels, matches: Matches, i: int) -> str:
    """What was done to the training picture, in words."""
    picture, original = fake[i].astype(float), real[int(matches.index[i])].astype(float)
    if matches.mirrored[i]:
        picture = picture[..., ::-1]
    changes = ["mirrored"] * bool(matches.mirrored[i])
    if np.array_equal(picture, original):
        return " and ".join(changes) or "identical"
    if (scale := float(matches.scale[i])) < 1:
        changes.append("cropped")
        size = original.shape[-1]
        side = max(round(scale * size), 1)
        top, left = (min(round(float(share) * size), size - side) for share in matches.corner[i])
        original = original[:, top : top + side, left : left + side]
    if abs(picture.std() / max(original.std(), 1e-9) - 1) > GAIN or abs(picture.mean() - original.mean()) > 255 * GAIN:
        changes.append("brighter" if picture.mean() > original.mean() else "darker")
    return " and ".join(changes) or "nearly identical"


def _statement(flagged: int, n: int, power: float) -> str:
    """In one sentence. A power just below 1 is not called 100 %."""
    percent = 100 if power == 1 else min(99, math.floor(100 * power + 0.5))
    found = "none found" if not flagged else f"{flagged} of {n} pictures copy a training picture"
    return f"{found}; the audit finds {percent}% of planted copies"
